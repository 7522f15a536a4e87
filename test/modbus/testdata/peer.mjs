// A client and a server by modbus-serial that tests drive:
//
//   node peer.mjs client FRAMING PORT   asks unit 17, prints an answer a line, and ends
//   node peer.mjs server FRAMING PORT   is unit 17; says "ready PORT", and serves until it is killed
//   node peer.mjs poll FRAMING PORT N     asks unit 17 for four registers, N times
//
// FRAMING is tcp, rtu, ascii, or rtu-tcp: RTU in a TCP connection, which
// modbus-serial calls telnet. PORT is a TCP
// port on this machine, or the path of a serial port.
import { createRequire } from 'node:module'

const require = createRequire(new URL('../../../build/peers.d/', import.meta.url))
const Modbus = require('modbus-serial')

const [role, framing, port, times] = process.argv.slice(2)
const line = { baudRate: 115200, parity: 'none', dataBits: 8, stopBits: 1 }

const connect = {
  'tcp': c => c.connectTCP('127.0.0.1', { port: Number(port) }),
  'rtu-tcp': c => c.connectTelnet('127.0.0.1', { port: Number(port) }),
  'rtu': c => c.connectRTUBuffered(port, line),
  'ascii': c => c.connectAsciiSerial(port, line),
}

// answer prints what a call returned: values as numbers, writes as ok.
async function answer(call, count) {
  try {
    const { data } = await call
    console.log(Array.isArray(data) ? data.slice(0, count).map(Number).join(' ') : 'ok')
  } catch (err) {
    console.log(err.modbusCode ? `exception ${err.modbusCode}` : String(err))
  }
}

async function client() {
  const c = new Modbus()
  await connect[framing](c)
  c.setID(17)
  c.setTimeout(60000)
  await answer(c.readCoils(0, 10), 10)
  await answer(c.readDiscreteInputs(100, 3), 3)
  await answer(c.readHoldingRegisters(107, 3), 3)
  await answer(c.readInputRegisters(0, 3), 3)
  await answer(c.writeCoil(1, true))
  await answer(c.writeCoils(2, [false, false, true]))
  await answer(c.readCoils(0, 5), 5)
  await answer(c.writeRegister(108, 7))
  await answer(c.writeRegisters(109, [8, 18]))
  await answer(c.readHoldingRegisters(1000, 1))
  await answer(c.writeCoil(1000, true))
  if (framing === 'tcp') { // its other ports do not know how long these answers are
    await answer(c.maskWriteRegister(110, 0xF2, 0x25))
    await answer(c.readWriteRegisters(107, 4, 107, 1, [6]), 4)
  }
  if (framing === 'tcp' || framing === 'rtu') {
    const who = await c.readDeviceIdentification(1, 0)
    console.log(Object.values(who.data).join(' '))
  }
  process.exit(0)
}

async function poll() {
  const c = new Modbus()
  await connect[framing](c)
  c.setID(17)
  c.setTimeout(60000)
  for (let n = 0; n < times; n++) await c.readHoldingRegisters(107, 4)
  process.exit(0)
}

const coils = { 0: 1, 1: 0, 2: 1, 3: 1, 4: 0, 5: 0, 6: 0, 7: 0, 8: 1, 9: 1 }
const holding = { 107: 555, 108: 0, 109: 100, 110: 18 }

// at returns a value, or the exception for an address that is not there.
function at(table, address) {
  if (!(address in table)) throw Object.assign(new Error('no such address'), { modbusErrorCode: 2 })
  return table[address]
}

const unit = {
  getCoil: a => !!at(coils, a),
  getDiscreteInput: a => !!at({ 100: 0, 101: 1, 102: 0 }, a),
  getHoldingRegister: a => at(holding, a),
  getInputRegister: a => at({ 0: 17254, 1: 13107, 2: 4660 }, a),
  setCoil: (a, on) => { at(coils, a); coils[a] = Number(on) },
  setRegister: (a, v) => { at(holding, a); holding[a] = v },
  readDeviceIdentification: () => ({ 0: 'edge', 1: 'M', 2: '1.0' }),
}

function server() {
  if (framing === 'tcp') {
    // As a number, 0 would be its default.
    const s = new Modbus.ServerTCP(unit, { host: '127.0.0.1', port, unitID: 17 })
    s.on('initialized', () => console.log('ready', s._server.address().port))
    return
  }
  const s = new Modbus.ServerSerial(unit, { port, baudRate: 115200, unitID: 17 })
  s.on('initialized', () => console.log('ready', port))
}

await { client, server, poll }[role]()
