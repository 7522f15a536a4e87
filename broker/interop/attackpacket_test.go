package interop

// packetAttacks are those that packets make which no client sends.
func packetAttacks() []attack {
	return []attack{
		{number: 7, name: "QoS 3", wants: []string{"0x81", closed}, run: qos3},
	}
}

// qos3 publishes at the QoS that there is not.
func qos3(a *arena) {
	for _, v := range versions {
		a.strike(v, message{topic: "a", qos: 3, id: 1}.packet(v).bytes())
	}
}
