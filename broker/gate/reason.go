package gate

import "errors"

// A Reason is a reason code of MQTT 5.0, section 2.4.
type Reason byte

// The reason codes that the gate uses.
const (
	Success             Reason = 0x00
	WithWill            Reason = 0x04
	NoSubscribers       Reason = 0x10
	Unspecified         Reason = 0x80
	Malformed           Reason = 0x81
	ProtocolError       Reason = 0x82
	ImplementationError Reason = 0x83
	UnsupportedVersion  Reason = 0x84
	BadClientID         Reason = 0x85
	BadCredentials      Reason = 0x86
	NotAuthorized       Reason = 0x87
	ServerUnavailable   Reason = 0x88
	ServerBusy          Reason = 0x89
	ShuttingDown        Reason = 0x8B
	BadAuthMethod       Reason = 0x8C
	KeepAliveTimeout    Reason = 0x8D
	TakenOver           Reason = 0x8E
	BadFilter           Reason = 0x8F
	BadTopic            Reason = 0x90
	IDInUse             Reason = 0x91
	UnknownID           Reason = 0x92
	ReceiveMaximum      Reason = 0x93
	BadTopicAlias       Reason = 0x94
	TooLarge            Reason = 0x95
	RateTooHigh         Reason = 0x96
	QuotaExceeded       Reason = 0x97
	AdminAction         Reason = 0x98
	BadPayload          Reason = 0x99
	ConnectionRate      Reason = 0x9F
)

var reasons = map[Reason]string{
	Success:             "success",
	WithWill:            "disconnect with will message",
	NoSubscribers:       "no matching subscribers",
	Unspecified:         "unspecified error",
	Malformed:           "malformed packet",
	ProtocolError:       "protocol error",
	ImplementationError: "implementation specific error",
	UnsupportedVersion:  "unsupported protocol version",
	BadClientID:         "client identifier not valid",
	BadCredentials:      "bad user name or password",
	NotAuthorized:       "not authorized",
	ServerUnavailable:   "server unavailable",
	ServerBusy:          "server busy",
	ShuttingDown:        "server shutting down",
	BadAuthMethod:       "bad authentication method",
	KeepAliveTimeout:    "keep alive timeout",
	TakenOver:           "session taken over",
	BadFilter:           "topic filter invalid",
	BadTopic:            "topic name invalid",
	IDInUse:             "packet identifier in use",
	UnknownID:           "packet identifier not found",
	ReceiveMaximum:      "receive maximum exceeded",
	BadTopicAlias:       "topic alias invalid",
	TooLarge:            "packet too large",
	RateTooHigh:         "message rate too high",
	QuotaExceeded:       "quota exceeded",
	AdminAction:         "administrative action",
	BadPayload:          "payload format invalid",
	ConnectionRate:      "connection rate exceeded",
}

// Error implements error: a Reason is what ends a connection.
func (r Reason) Error() string {
	if s, ok := reasons[r]; ok {
		return s
	}
	return "unknown reason"
}

// v3 returns r as a CONNACK return code of MQTT 3.1.1, section 3.2.2.3. Those
// who break the protocol have none: their connection is closed (section 4.8).
func (r Reason) v3() (code byte, ok bool) {
	switch r {
	case Success:
		return 0, true
	case UnsupportedVersion:
		return 1, true
	case BadClientID:
		return 2, true
	case ServerUnavailable, ServerBusy, ShuttingDown, QuotaExceeded, ConnectionRate, Unspecified:
		return 3, true
	case BadCredentials:
		return 4, true
	case NotAuthorized:
		return 5, true
	}
	return 0, false
}

// sent reports whether a client may send r in a packet of the given type. The
// tables are in sections 3.4.2.1, 3.5.2.1, 3.6.2.1, 3.7.2.1 and 3.14.2.1.
func (r Reason) sent(packet byte) bool {
	switch packet {
	case puback, pubrec:
		switch r {
		// NoSubscribers is a server's, but a bridge of mosquitto is a client
		// that says it too. It means success.
		case Success, NoSubscribers, Unspecified, ImplementationError, NotAuthorized, BadTopic, IDInUse, QuotaExceeded, BadPayload:
			return true
		}
	case pubrel, pubcomp:
		return r == Success || r == UnknownID
	case disconnect:
		switch r {
		case Success, WithWill, Unspecified, Malformed, ProtocolError, ImplementationError, BadTopic, ReceiveMaximum,
			BadTopicAlias, TooLarge, RateTooHigh, QuotaExceeded, AdminAction, BadPayload:
			return true
		}
	}
	return false
}

// A Violation is a Reason with what a person needs to find his bug.
type Violation struct {
	Reason
	Detail string // short, and UTF-8: it is sent as Reason String
}

// Error implements error.
func (v Violation) Error() string { return v.Reason.Error() + ": " + v.Detail }

// Unwrap makes a Violation the same error as its Reason.
func (v Violation) Unwrap() error { return v.Reason }

// violation returns the Violation or the bare Reason in err.
func violation(err error) (v Violation, ok bool) {
	if errors.As(err, &v) {
		return v, true
	}
	ok = errors.As(err, &v.Reason)
	return v, ok
}
