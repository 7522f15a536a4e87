package gate

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mochi-mqtt/server/v2/packets"

	"edge/broker/journal"
)

// compare reads packet, which the gate accepts, with mochi's decoder too: it
// must not panic and not read anything else. Where mochi is known to be wrong,
// a comment with "mochi:" says so.
func compare(t testing.TB, version byte, packet []byte) {
	t.Helper()
	body := bodyOf(packet)
	if body == nil {
		return
	}
	raw := append([]byte{packet[0]}, packet[1:]...)
	if packet[0]>>4 == connect {
		compareConnect(t, body)
		return
	}
	if packet[0]>>4 != publish && checkFlags(raw, version) != nil { // mochi: no DUP in MQTT 3.1; the gate clears it.
		return
	}
	pk := packets.Packet{ProtocolVersion: version}
	if err := pk.FixedHeader.Decode(raw[0]); err != nil {
		if qos := packet[0] >> 1 & 3; packet[0]>>4 != publish || qos != 3 && (qos != 0 || packet[0]&8 == 0) {
			t.Errorf("mochi on the fixed header of %x: %v", packet, err)
		}
		return
	}
	pk.FixedHeader.Remaining = len(body)
	switch packet[0] >> 4 {
	case publish:
		comparePublish(t, &pk, body)
	case subscribe, unsubscribe:
		compareFilters(t, &pk, body)
	case puback, pubrec, pubrel, pubcomp:
		compareAck(t, &pk, body)
	case disconnect:
		compareDisconnect(t, &pk, body)
	}
}

// same reports what differs between our reading and mochi's.
func same(t testing.TB, body []byte, err error, ours, theirs any) {
	t.Helper()
	if err != nil {
		t.Errorf("the gate accepts %x, mochi says: %v", body, err)
	} else if d := cmp.Diff(ours, theirs); d != "" {
		t.Errorf("%x is read differently (- gate, + mochi):\n%s", body, d)
	}
}

// message is what both decoders know of the properties of a message.
type message struct {
	Text                       bool
	Expiry                     uint32
	ContentType, ResponseTopic string
	Correlation                string
	User                       string
	Alias                      uint16
}

func ourMessage(p *properties) message {
	if p == nil {
		p = new(properties)
	}
	m := p.message
	return message{
		Text: m.Text, Expiry: p.messageExpiry, ContentType: m.ContentType, ResponseTopic: m.ResponseTopic,
		Correlation: string(m.CorrelationData), User: ourUser(m.User), Alias: p.topicAlias,
	}
}

func theirMessage(p packets.Properties) message {
	return message{
		Text: p.PayloadFormat == 1, Expiry: p.MessageExpiryInterval, ContentType: p.ContentType, ResponseTopic: p.ResponseTopic,
		Correlation: string(p.CorrelationData), User: theirUser(p.User), Alias: p.TopicAlias,
	}
}

func ourUser(user []journal.UserProperty) string {
	var b strings.Builder
	for _, u := range user {
		fmt.Fprintf(&b, "%q=%q ", u.Name, u.Value)
	}
	return b.String()
}

func theirUser(user []packets.UserProperty) string {
	var b strings.Builder
	for _, u := range user {
		fmt.Fprintf(&b, "%q=%q ", u.Key, u.Val)
	}
	return b.String()
}

func compareConnect(t testing.TB, body []byte) {
	t.Helper()
	k, err := decodeConnect(body, limits())
	if err != nil {
		return
	}
	type reading struct {
		Version                      byte
		Clean, HasUser, HasPass      bool
		ClientID, Username, Password string
		Will                         bool
		WillTopic, WillPayload       string
		WillQoS                      byte
		WillRetain                   bool
		WillDelay                    uint32
		WillMessage                  message
		Expiry, MaxPacket            uint32
		Window                       uint16
		ResponseInfo, ProblemInfo    bool
	}
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connect}}
	err = pk.ConnectDecode(body)
	theirs := reading{
		Version: pk.ProtocolVersion, Clean: pk.Connect.Clean, HasUser: pk.Connect.UsernameFlag, HasPass: pk.Connect.PasswordFlag,
		ClientID: pk.Connect.ClientIdentifier, Username: string(pk.Connect.Username), Password: string(pk.Connect.Password),
		Will: pk.Connect.WillFlag, WillTopic: pk.Connect.WillTopic, WillPayload: string(pk.Connect.WillPayload),
		WillQoS: pk.Connect.WillQos, WillRetain: pk.Connect.WillRetain,
		WillDelay: pk.Connect.WillProperties.WillDelayInterval, WillMessage: theirMessage(pk.Connect.WillProperties),
		Expiry: pk.Properties.SessionExpiryInterval, MaxPacket: pk.Properties.MaximumPacketSize,
		Window:       pk.Properties.ReceiveMaximum,
		ResponseInfo: pk.Properties.RequestResponseInfo == 1,
		ProblemInfo:  !pk.Properties.RequestProblemInfoFlag || pk.Properties.RequestProblemInfo == 1,
	}
	ours := reading{
		Version: k.Version, Clean: k.Clean, HasUser: k.HasUser, HasPass: k.HasPass,
		ClientID: k.ClientID, Username: k.Username, Password: string(k.Password),
		Will:   k.will != nil,
		Expiry: k.sessionExpiry, MaxPacket: k.maxPacket, Window: k.window, ResponseInfo: k.responseInfo, ProblemInfo: k.problemInfo,
	}
	if w := k.will; w != nil {
		m := w.Message
		ours.WillTopic, ours.WillPayload, ours.WillQoS, ours.WillRetain = m.Topic, string(m.Payload), m.QoS, m.Retain
		ours.WillDelay, ours.WillMessage.Expiry = w.Delay, w.Expiry
		if m.Props != nil {
			ours.WillMessage = ourMessage(&properties{message: *m.Props, messageExpiry: w.Expiry})
		}
	}
	// What the gate has filled in, section 3.1.2.11.3 and 3.1.3.1 and for the
	// sessions of older versions, is not in the packet.
	if theirs.Window == 0 {
		theirs.Window = 65535
	}
	if k.Assigned {
		ours.ClientID = ""
	}
	if k.Version < 5 {
		ours.Expiry = 0
	}
	same(t, body, err, ours, theirs)
}

func comparePublish(t testing.TB, pk *packets.Packet, body []byte) {
	t.Helper()
	p, err := decodePublish(pk.FixedHeader.Qos, body, pk.ProtocolVersion, limits())
	if err != nil || !validText(p.name) {
		return
	}
	type reading struct {
		Topic   string
		ID      uint16
		Payload string
		Message message
	}
	err = pk.PublishDecode(body)
	same(t, body, err,
		reading{string(p.name), p.id, string(p.payload), ourMessage(p.props)},
		reading{pk.TopicName, pk.PacketID, string(pk.Payload), theirMessage(pk.Properties)})
}

// compareFilters compares what mochi reads, and hands to the broker, with what
// was sent: the gate checks SUBSCRIBE and UNSUBSCRIBE, but does not keep them.
func compareFilters(t testing.TB, pk *packets.Packet, body []byte) {
	t.Helper()
	var err error
	if pk.FixedHeader.Type == subscribe {
		if checkSubscribe(body, pk.ProtocolVersion, limits()) != nil {
			return
		}
		err = pk.SubscribeDecode(body)
	} else {
		if checkUnsubscribe(body, pk.ProtocolVersion, limits()) != nil {
			return
		}
		err = pk.UnsubscribeDecode(body)
	}
	c := cursor{b: body}
	id, p := c.packetID(), new(properties)
	if pk.ProtocolVersion == 5 {
		p = c.properties(pk.FixedHeader.Type, 8)
	}
	var again []byte // the filters, as mochi read them
	for _, f := range pk.Filters {
		again = appendText(again, f.Filter)
		if pk.FixedHeader.Type == subscribe {
			again = append(again, f.Qos|flag(f.NoLocal)<<2|flag(f.RetainAsPublished)<<3|f.RetainHandling<<4)
		}
		if f.Identifier != int(p.subscriptionID) {
			t.Errorf("%x: mochi reads identifier %d, the gate %d", body, f.Identifier, p.subscriptionID)
		}
	}
	if !bytes.Equal(again, c.b) {
		t.Errorf("%x: mochi reads filters %x, the gate %x", body, again, c.b)
	}
	same(t, body, err, []any{id, ourUser(p.message.User)}, []any{pk.PacketID, theirUser(pk.Properties.User)})
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func compareAck(t testing.TB, pk *packets.Packet, body []byte) {
	t.Helper()
	id, r, err := decodeAck(pk.FixedHeader.Type, body, pk.ProtocolVersion, limits())
	if err != nil {
		return
	}
	switch pk.FixedHeader.Type {
	case puback:
		err = pk.PubackDecode(body)
	case pubrec:
		err = pk.PubrecDecode(body)
	case pubrel:
		err = pk.PubrelDecode(body)
	case pubcomp:
		err = pk.PubcompDecode(body)
	}
	same(t, body, err, []any{id, byte(r)}, []any{pk.PacketID, pk.ReasonCode})
}

func compareDisconnect(t testing.TB, pk *packets.Packet, body []byte) {
	t.Helper()
	l, err := decodeDisconnect(body, pk.ProtocolVersion, limits())
	if err != nil {
		return
	}
	var expiry uint32
	if l.expiry != nil {
		expiry = *l.expiry
	}
	err = pk.DisconnectDecode(body)
	if len(body) == 1 {
		pk.ReasonCode = body[0] // mochi: a reason without properties is not read, and the will is lost.
	}
	same(t, body, err,
		[]any{byte(l.reason), expiry, l.expiry != nil},
		[]any{pk.ReasonCode, pk.Properties.SessionExpiryInterval, pk.Properties.SessionExpiryIntervalFlag})
}
