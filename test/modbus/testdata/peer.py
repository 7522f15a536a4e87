"""A client and a server by pymodbus that tests drive.

  peer.py client FRAMING PORT   asks unit 17, prints an answer a line, and ends
  peer.py server FRAMING PORT   is unit 17; says "ready PORT", and serves until it is killed
  peer.py poll FRAMING PORT N   asks unit 17 for four registers, N times

FRAMING is rtu or ascii, and PORT the path of a serial port.
"""
import asyncio
import sys

from pymodbus.client import ModbusSerialClient
from pymodbus.datastore import ModbusServerContext, ModbusSlaveContext, ModbusSparseDataBlock
from pymodbus.device import ModbusDeviceIdentification
from pymodbus.framer.ascii_framer import ModbusAsciiFramer
from pymodbus.framer.rtu_framer import ModbusRtuFramer
from pymodbus.server.async_io import ModbusSerialServer

UNIT = 17


def show(answer, count=0):
    if answer.isError():
        print("exception", answer.exception_code)
    elif hasattr(answer, "registers") and count:
        print(*answer.registers[:count])
    elif hasattr(answer, "bits") and count:
        print(*map(int, answer.bits[:count]))
    else:
        print("ok")


def client(framer, port):
    c = ModbusSerialClient(port, framer=framer, baudrate=115200, timeout=60)
    if not c.connect():
        sys.exit("cannot open " + port)
    show(c.read_coils(0, 10, slave=UNIT), 10)
    show(c.read_discrete_inputs(100, 3, slave=UNIT), 3)
    show(c.read_holding_registers(107, 3, slave=UNIT), 3)
    show(c.read_input_registers(0, 3, slave=UNIT), 3)
    show(c.write_coil(1, True, slave=UNIT))
    show(c.write_coils(2, [False, False, True], slave=UNIT))
    show(c.read_coils(0, 5, slave=UNIT), 5)
    show(c.write_register(108, 7, slave=UNIT))
    show(c.write_registers(109, [8, 18], slave=UNIT))
    show(c.read_holding_registers(1000, 1, slave=UNIT), 1)
    show(c.write_coil(1000, True, slave=UNIT))
    # What functions 22, 23 and 43 answer, it reads until its time-out.


def poll(framer, port, times):
    c = ModbusSerialClient(port, framer=framer, baudrate=115200, timeout=60)
    c.connect()
    for _ in range(times):
        if c.read_holding_registers(107, 4, slave=UNIT).isError():
            sys.exit("poll")


async def server(framer, port):
    def block(start, *values):
        return ModbusSparseDataBlock({start + i: v for i, v in enumerate(values)})

    unit = ModbusSlaveContext(
        co=block(0, 1, 0, 1, 1, 0, 0, 0, 0, 1, 1),
        di=block(100, 0, 1, 0),
        hr=block(107, 555, 0, 100, 18),
        ir=block(0, 17254, 13107, 4660),
        zero_mode=True,
    )
    who = ModbusDeviceIdentification(info={0: "edge", 1: "M", 2: "1.0"})
    s = ModbusSerialServer(
        ModbusServerContext({UNIT: unit}, single=False), framer=framer, identity=who, port=port, baudrate=115200)
    await s.start()
    print("ready", port, flush=True)
    await s.serve_forever()


role, framing, port = sys.argv[1:4]
framer = {"rtu": ModbusRtuFramer, "ascii": ModbusAsciiFramer}[framing]
if role == "client":
    client(framer, port)
elif role == "poll":
    poll(framer, port, int(sys.argv[4]))
else:
    asyncio.run(server(framer, port))
