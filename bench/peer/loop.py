"""A bridge between two pins and MQTT as many are written: paho-mqtt, and a loop
that polls the input, as mqtt-io does every 100 ms by default. It is no copy of a
program, and has less to do than one. Its pins are files, for want of a chip that
Python could have: the first byte of one is the level of the input, and the level
of the output is written into the other.

loop.py HOST PORT INPUT OUTPUT PREFIX
"""

import os
import sys
import time

import paho.mqtt.client as mqtt

POLL = 0.1  # seconds

host, port, source, sink, prefix = sys.argv[1:]
output = os.open(sink, os.O_WRONLY)


def on_connect(client, *_):
    client.subscribe(prefix + "/relay/set")


def on_subscribe(*_):
    print("ready with paho", sys.modules["paho.mqtt"].__version__, file=sys.stderr, flush=True)


def on_message(client, _, message):
    os.write(output, b"1" if message.payload == b"ON" else b"0")
    client.publish(prefix + "/relay", message.payload, retain=True)


def read():
    with open(source, "rb") as pin:
        return pin.read(1)


if hasattr(mqtt, "CallbackAPIVersion"):  # paho 2
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION1)
else:
    client = mqtt.Client()
client.on_connect = on_connect
client.on_subscribe = on_subscribe
client.on_message = on_message
client.connect(host, int(port))
client.loop_start()
last = None
while True:
    level = read()
    if level != last:
        client.publish(prefix + "/door", "ON" if level == b"1" else "OFF", retain=True)
        last = level
    time.sleep(POLL)
