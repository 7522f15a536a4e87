// Package interop holds no code, only tests: they start the real edge binary
// as a broker and talk to it from outside, with the clients that people have
// (mosquitto_pub and mosquitto_sub, the two Paho libraries for Go, mqtt.js over
// WebSocket) and with a raw client that knows every byte of a packet. It does
// not test how the broker is made.
//
// EDGE_INTEROP_PEER names another broker to test instead of the one built from
// this tree: `mosquitto`, which shows that a test asks for nothing but MQTT, or
// the path of a binary that takes the flags of `edge run`, such as one built for
// another machine.
package interop
