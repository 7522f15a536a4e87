// Package modbus bridges a Modbus bus, a serial line or a gateway on the network,
// into topics. It polls the registers of its units by deadlines, writes commands
// before it reads, and keeps a unit that is dead from slowing down the others.
//
// How frames are written and heard is the business of package internal/modbus;
// what units of one type have, of templates.
package modbus
