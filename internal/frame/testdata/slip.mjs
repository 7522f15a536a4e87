// SLIP by serialport, for TestSLIPWithSerialport: what comes in is a line of bytes in
// hexadecimal for each frame, or each piece of a stream, and so is what goes out.
//
//   node slip.mjs encode | decode
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const require = createRequire(new URL('../../../build/peers.d/', import.meta.url))
const { SlipEncoder, SlipDecoder } = require('serialport')

const slip = process.argv[2] === 'encode' ? new SlipEncoder() : new SlipDecoder()
slip.on('data', (b) => console.log(b.toString('hex')))
createInterface({ input: process.stdin })
  .on('line', (hex) => slip.write(Buffer.from(hex, 'hex')))
  .on('close', () => slip.end())
