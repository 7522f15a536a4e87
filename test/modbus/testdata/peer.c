/* A client and a server by libmodbus that tests drive.
 *
 *   peer client PORT   asks unit 17, prints an answer a line, and ends
 *   peer server PORT   is unit 17; says "ready PORT", and serves until it is killed
 *   peer poll PORT N   asks unit 17 for four registers, N times
 *
 * PORT is a TCP port on this machine, or the path of a serial port. */
#include <arpa/inet.h>
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static modbus_t *ctx;

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, modbus_strerror(errno));
	exit(1);
}

static void bits(int n, const uint8_t *v)
{
	if (n < 0)
		printf("exception %d\n", errno - MODBUS_ENOBASE);
	for (int i = 0; i < n; i++)
		printf("%d%c", v[i], i == n - 1 ? '\n' : ' ');
}

static void registers(int n, const uint16_t *v)
{
	if (n < 0)
		printf("exception %d\n", errno - MODBUS_ENOBASE);
	for (int i = 0; i < n; i++)
		printf("%d%c", v[i], i == n - 1 ? '\n' : ' ');
}

static void wrote(int n)
{
	if (n < 0)
		printf("exception %d\n", errno - MODBUS_ENOBASE);
	else
		printf("ok\n");
}

static void client(void)
{
	uint8_t b[16], three[] = {0, 0, 1};
	uint16_t r[16], two[] = {8, 18}, one[] = {6};

	if (modbus_connect(ctx) < 0)
		fail("connect");
	bits(modbus_read_bits(ctx, 0, 10, b), b);
	bits(modbus_read_input_bits(ctx, 100, 3, b), b);
	registers(modbus_read_registers(ctx, 107, 3, r), r);
	registers(modbus_read_input_registers(ctx, 0, 3, r), r);
	wrote(modbus_write_bit(ctx, 1, 1));
	wrote(modbus_write_bits(ctx, 2, 3, three));
	bits(modbus_read_bits(ctx, 0, 5, b), b);
	wrote(modbus_write_register(ctx, 108, 7));
	wrote(modbus_write_registers(ctx, 109, 2, two));
	registers(modbus_read_registers(ctx, 1000, 1, r), r);
	wrote(modbus_write_bit(ctx, 1000, 1));
	wrote(modbus_mask_write_register(ctx, 110, 0xF2, 0x25));
	registers(modbus_write_and_read_registers(ctx, 107, 1, one, 107, 4, r), r);
}

static void poll(int n)
{
	uint16_t r[4];

	if (modbus_connect(ctx) < 0)
		fail("connect");
	while (n-- > 0)
		if (modbus_read_registers(ctx, 107, 4, r) != 4)
			fail("poll");
}

static void server(const char *where, int tcp)
{
	uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
	const uint8_t coils[] = {1, 0, 1, 1, 0, 0, 0, 0, 1, 1}, inputs[] = {0, 1, 0};
	const uint16_t holding[] = {555, 0, 100, 18}, input[] = {17254, 13107, 4660};
	modbus_mapping_t *m = modbus_mapping_new_start_address(0, 10, 100, 3, 107, 4, 0, 3);

	if (!m)
		fail("mapping");
	memcpy(m->tab_bits, coils, sizeof coils);
	memcpy(m->tab_input_bits, inputs, sizeof inputs);
	memcpy(m->tab_registers, holding, sizeof holding);
	memcpy(m->tab_input_registers, input, sizeof input);
	if (tcp) {
		struct sockaddr_in a;
		socklen_t n = sizeof a;
		int s = modbus_tcp_listen(ctx, 1);
		if (s < 0 || getsockname(s, (struct sockaddr *)&a, &n) < 0)
			fail("listen");
		printf("ready %d\n", ntohs(a.sin_port));
		fflush(stdout);
		if (modbus_tcp_accept(ctx, &s) < 0)
			fail("accept");
	} else {
		if (modbus_connect(ctx) < 0)
			fail("open");
		printf("ready %s\n", where);
		fflush(stdout);
	}
	for (;;) {
		int n = modbus_receive(ctx, query);
		if (n < 0)
			fail("receive");
		if (n > 0 && modbus_reply(ctx, query, n, m) < 0)
			fail("reply");
	}
}

int main(int argc, char **argv)
{
	int tcp = argc > 2 && argv[2][0] != '/';

	if (argc < 3)
		return 2;
	ctx = tcp ? modbus_new_tcp("127.0.0.1", atoi(argv[2])) : modbus_new_rtu(argv[2], 115200, 'N', 8, 1);
	if (!ctx)
		fail("context");
	modbus_set_slave(ctx, 17);
	modbus_set_response_timeout(ctx, 60, 0);
	modbus_set_byte_timeout(ctx, 60, 0);
	if (!strcmp(argv[1], "server"))
		server(argv[2], tcp);
	if (argc > 3)
		poll(atoi(argv[3]));
	else
		client();
	return 0;
}
