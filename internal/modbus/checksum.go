package modbus

// crcTable has the CRC of each byte, for the polynomial x16+x15+x2+1 in
// reversed order of bits (SL §6.2.2).
var crcTable = func() (table [256]uint16) {
	for i := range table {
		crc := uint16(i)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xA001
			} else {
				crc >>= 1
			}
		}
		table[i] = crc
	}
	return table
}()

// CRC returns the checksum of RTU (SL §2.5.1.2). On the wire its low byte
// comes first; the CRC of a frame with its own CRC is 0.
func CRC(b []byte) uint16 {
	crc := uint16(0xFFFF)
	for _, c := range b {
		crc = crc>>8 ^ crcTable[byte(crc)^c]
	}
	return crc
}

// LRC returns the checksum of ASCII, which makes the sum of all bytes 0
// (SL §2.5.2.2).
func LRC(b []byte) byte {
	var sum byte
	for _, c := range b {
		sum += c
	}
	return -sum
}
