// Serialport as a program uses it that brings lines of JSON to MQTT, for
// BenchmarkLines. It says "ready" when the port is open, and ends after N lines.
//
//   node readline.mjs PORT N
import { createRequire } from 'node:module'

const require = createRequire(new URL('../../../build/peers.d/', import.meta.url))
const { SerialPort, ReadlineParser } = require('serialport')

const [path, lines] = process.argv.slice(2)
const port = new SerialPort({ path, baudRate: 115200 })
port.on('open', () => console.log('ready'))
let n = 0
port.pipe(new ReadlineParser()).on('data', (line) => {
  const { number } = JSON.parse(line)
  if (number !== n) throw new Error(`line ${n} is ${line}`)
  if (++n === Number(lines)) process.exit(0)
})
