// A client of mqtt.js that a test drives: node mqttjs.mjs URL OPTIONS, where
// OPTIONS are those of mqtt.connect in JSON. A line of standard input is a JSON
// array: a name for the answer, a method of the client and its arguments. The
// answer is a line of standard output; all that happens to the client is a line
// too. Bytes are strings in UTF-8, in both directions.
import { createInterface } from 'node:readline'
import { createRequire } from 'node:module'

const require = createRequire(new URL('../../../build/peers.d/', import.meta.url))
const mqtt = require('mqtt')

Buffer.prototype.toJSON = function () { return this.toString() }

function tell(event, what) {
  process.stdout.write(JSON.stringify({ event, ...what }) + '\n')
}

// parse makes bytes of what mqtt.js wants as such.
function parse(json) {
  return JSON.parse(json, (key, value) => key === 'correlationData' ? Buffer.from(value) : value)
}

const methods = {
  publish: (...args) => client.publishAsync(...args),
  subscribe: async (...args) => ({ granted: await client.subscribeAsync(...args) }),
  unsubscribe: async (...args) => { await client.unsubscribeAsync(...args) },
  end: (...args) => client.endAsync(...args),
  cut: async () => client.stream.destroy(), // as a lost network would
}

const [url, options] = process.argv.slice(2)
const client = mqtt.connect(url, parse(options))
client.on('connect', packet => tell('connect', packet))
client.on('message', (topic, payload, packet) => tell('message', { ...packet, topic }))
client.on('disconnect', packet => tell('disconnect', packet))
client.on('close', () => tell('close'))
client.on('error', err => tell('error', { failed: String(err) }))
client.on('packetsend', packet => packet.cmd === 'publish' && tell('sent', packet))
client.on('packetreceive', packet => packet.cmd === 'publish' && tell('received', packet))

createInterface({ input: process.stdin }).on('line', line => {
  const [answer, method, ...args] = parse(line)
  methods[method](...args).then(
    result => tell(answer, result),
    err => tell(answer, { failed: String(err), reasonCode: err.code }),
  )
})
