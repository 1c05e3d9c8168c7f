/*
 * Rules, addresses and verdicts of the egress proxy. What the proxy reads of
 * requests, SOCKS and TLS is tried end to end in tests/t/202, and fuzzed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "egress/addr.h"
#include "egress/policy.h"
#include "egress/target.h"

#include <string.h>

static const uint8_t *
addr(const char *text)
{
	static uint8_t a[NETADDR_BYTES];

	assert_int_equal(netaddr_parse(a, text, strlen(text)), 0);
	return a;
}

static void
special_addresses(void **state)
{
	static const char *const special[] = { "0.0.0.0", "0.1.2.3", "10.0.0.1",
		"100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.255",
		"169.254.169.254", "172.16.0.0", "172.31.255.255", "192.0.0.1",
		"192.0.2.1", "192.88.99.1", "192.168.255.1", "198.19.255.255",
		"198.51.100.7", "203.0.113.9", "224.0.0.1", "239.1.1.1",
		"240.0.0.1", "255.255.255.255", "::", "::1", "::2",
		"::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::10.0.0.1",
		"64:ff9b::169.254.169.254", "64:ff9b:1::1", "100::1", "2001::1",
		"2001:db8::1", "2002:7f00:1::", "2002:808:808::1", "3fff::1",
		"5f00::1", "4000::1", "fc00::1", "fd00:ec2::254", "fe80::1",
		"febf::1", "fec0::1", "ff02::1" };
	static const char *const public[] = { "1.1.1.1", "9.255.255.255",
		"11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
		"128.0.0.1", "169.253.255.255", "169.255.0.0", "172.15.255.255",
		"172.32.0.0", "192.0.1.0", "192.167.255.255", "198.17.255.255",
		"198.20.0.0", "223.255.255.255", "::ffff:8.8.8.8",
		"64:ff9b::8.8.8.8", "2400::1", "2606:4700::1111", "2a00::1",
		"3ffe::1", "2001:200::1" };

	(void)state;
	for (size_t i = 0; i < countof(special); i++) {
		if (addr_special(addr(special[i])) == NULL)
			fail_msg("%s is not special", special[i]);
	}
	for (size_t i = 0; i < countof(public); i++) {
		if (addr_special(addr(public[i])) != NULL)
			fail_msg("%s is special", public[i]);
	}
}

static void
special_networks(void **state)
{
	(void)state;
	assert_true(addr_net_special(addr("10.0.0.0"), 96 + 8));
	assert_true(addr_net_special(addr("127.0.0.1"), 128));
	assert_true(addr_net_special(addr("fc00::"), 7));
	assert_true(addr_net_special(addr("fd00:1::"), 48));
	assert_false(addr_net_special(addr("0.0.0.0"), 96));
	assert_false(addr_net_special(addr("10.0.0.0"), 96 + 7));
	assert_false(addr_net_special(addr("::"), 0));
	assert_false(addr_net_special(addr("::"), 3));
	assert_false(addr_net_special(addr("2000::"), 3));
	assert_false(addr_net_special(addr("64:ff9b::"), 96));
}

static struct netpolicy
policy(const char *text)
{
	struct netpolicy p;
	struct json *j;
	struct err e;

	assert_int_equal(json_parse(text, strlen(text), 4, &j, &e), 0);
	if (netpolicy_parse(j, &p, &e) == -1)
		fail_msg("%s", e.text);
	json_free(j);
	return p;
}

static bool
name_ok(const struct netpolicy *p, const char *name, uint16_t port)
{
	struct verdict v;

	policy_name(p, name, port, &v);
	assert_non_null(v.reason);
	return v.allow;
}

static bool
addr_ok(
    const struct netpolicy *p, const char *text, uint16_t port, bool by_name)
{
	struct verdict v;

	policy_addr(p, addr(text), port, by_name, &v);
	assert_non_null(v.reason);
	return v.allow;
}

static void
names(void **state)
{
	struct netpolicy p =
	    policy("{\"allow\":[\"A.example.\",\"*.b.example\","
		   "\"c.example:80,8000-8010\"],"
		   "\"deny\":[\"x.b.example\",\"*:25\"]}");

	(void)state;
	assert_true(name_ok(&p, "a.example", 443));
	assert_false(name_ok(&p, "a.example", 25));
	assert_false(name_ok(&p, "sub.a.example", 443));
	assert_true(name_ok(&p, "y.b.example", 1));
	assert_true(name_ok(&p, "z.y.b.example", 1));
	assert_false(name_ok(&p, "b.example", 1));
	assert_false(name_ok(&p, "yb.example", 1));
	assert_false(name_ok(&p, "x.b.example", 1));
	assert_true(name_ok(&p, "c.example", 80));
	assert_true(name_ok(&p, "c.example", 8010));
	assert_false(name_ok(&p, "c.example", 8011));
	assert_false(name_ok(&p, "d.example", 80));
	netpolicy_free(&p);
}

static void
addresses(void **state)
{
	struct netpolicy p = policy("{\"allow\":[\"0.0.0.0/0\",\"::/0\","
				    "\"10.1.0.0/16:80\",\"[::1]:9\"],"
				    "\"deny\":[\"10.1.2.0/24\",\"9.9.9.9\"]}");
	struct netpolicy none = policy("{\"allow\":[\"a.example\"]}");

	(void)state;
	assert_true(addr_ok(&p, "10.1.1.1", 80, false));
	assert_true(addr_ok(&p, "::ffff:10.1.1.1", 80, true));
	assert_false(addr_ok(&p, "10.1.1.1", 81, false));
	assert_false(addr_ok(&p, "10.1.2.3", 80, true));
	assert_false(addr_ok(&p, "10.2.0.1", 80, true));
	assert_false(addr_ok(&p, "127.0.0.1", 80, false));
	assert_true(addr_ok(&p, "::1", 9, false));
	assert_false(addr_ok(&p, "::1", 10, false));
	assert_false(addr_ok(&p, "9.9.9.9", 443, false));
	assert_false(addr_ok(&p, "169.254.169.254", 80, true));
	/* A rule for a name is none for addresses. */
	assert_false(addr_ok(&none, "8.8.8.8", 443, false));
	assert_false(addr_ok(&none, "10.0.0.1", 443, true));
	netpolicy_free(&p);
	netpolicy_free(&none);
}

static void
targets(void **state)
{
	static const char *const good[] = { "a.example:80", "[::1]:80",
		"1.2.3.4:1", "A_b.example.:65535", "[::ffff:1.2.3.4]:5" };
	static const char *const bad[] = { "", ":80", "a.example", "a:", "a:0",
		"a:65536", "a:80x", "a:+8", "a b:80", "[::1]", "[a]:80",
		"::1:80", "[1.2.3.4]:80", "1.2.3:80", "1.2.3.4.5:80",
		"0x7f.1:80", "2130706433:80", "010.0.0.1:80", "a..b:80",
		".a:80", "-a:80", "a-:80", "a%2e:80", "[::1%lo]:80", "a:80:90",
		"a/b:80", "*:80", "[::1:80", "0x:80" };
	struct target t;

	(void)state;
	for (size_t i = 0; i < countof(good); i++) {
		if (target_parse(&t, good[i], strlen(good[i]), 0) == -1)
			fail_msg("'%s' is refused", good[i]);
	}
	for (size_t i = 0; i < countof(bad); i++) {
		if (target_parse(&t, bad[i], strlen(bad[i]), 0) == 0)
			fail_msg("'%s' is taken", bad[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(special_addresses),
		cmocka_unit_test(special_networks),
		cmocka_unit_test(names),
		cmocka_unit_test(addresses),
		cmocka_unit_test(targets),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
