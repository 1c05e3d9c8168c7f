/*
 * See netrule.h. Runs in the supervisor, where operators' rules are checked,
 * and in the proxy, which also has names and addresses from inside sandboxes
 * read here: every byte of those may be anything.
 */
#include "lib/netrule.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <arpa/inet.h>
#include <string.h>

static const uint8_t v4_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff,
	0xff };

/* --- names --------------------------------------------------------------- */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Would some program take a name that ends in this part for an address, as in
 * 127.1, 0x7f000001 or 1.2.3.0x4? */
static bool
is_number(const char *s, size_t n)
{
	size_t i = 0;

	if (n >= 2 && s[0] == '0' && s[1] == 'x') {
		for (i = 2; i < n; i++) {
			if (!is_digit(s[i]) && !(s[i] >= 'a' && s[i] <= 'f'))
				return false;
		}
		return true;
	}
	while (i < n && is_digit(s[i]))
		i++;
	return i == n;
}

int
netname_clean(char dst[NETNAME_MAX + 1], const char *s, size_t n)
{
	size_t part = 0; /* where it begins */

	dst[0] = '\0';
	if (n > 0 && s[n - 1] == '.')
		n--;
	if (n == 0 || n > NETNAME_MAX)
		return -1;
	for (size_t i = 0; i <= n; i++) {
		char c = i < n ? s[i] : '.';

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c == '.') {
			if (i == part || i - part > 63 || dst[part] == '-' ||
			    dst[i - 1] == '-')
				break;
			if (i == n && is_number(dst + part, n - part))
				break;
			part = i + 1;
		} else if (!is_digit(c) && !(c >= 'a' && c <= 'z') &&
			   c != '-' && c != '_') {
			break;
		}
		if (i == n) {
			dst[n] = '\0';
			return 0;
		}
		dst[i] = c;
	}
	dst[0] = '\0';
	return -1;
}

/* --- addresses ----------------------------------------------------------- */

int
netaddr_parse(uint8_t dst[NETADDR_BYTES], const char *s, size_t n)
{
	char text[INET6_ADDRSTRLEN];

	if (n == 0 || n >= sizeof(text) || memchr(s, '\0', n) != NULL)
		return -1;
	memcpy(text, s, n);
	text[n] = '\0';
	/* inet_pton takes no other forms of IPv4, and no leading zeros. */
	if (inet_pton(AF_INET, text, dst + sizeof(v4_prefix)) == 1) {
		memcpy(dst, v4_prefix, sizeof(v4_prefix));
		return 0;
	}
	return inet_pton(AF_INET6, text, dst) == 1 ? 0 : -1;
}

bool
netaddr_is_v4(const uint8_t addr[NETADDR_BYTES])
{
	return memcmp(addr, v4_prefix, sizeof(v4_prefix)) == 0;
}

void
netaddr_text(char dst[NETADDR_TEXT_MAX], const uint8_t addr[NETADDR_BYTES])
{
	bool v4 = netaddr_is_v4(addr);

	/* Both fit, and cannot fail. */
	(void)inet_ntop(v4 ? AF_INET : AF_INET6,
	    v4 ? addr + sizeof(v4_prefix) : addr, dst, NETADDR_TEXT_MAX);
}

bool
netaddr_within(const uint8_t addr[NETADDR_BYTES],
    const uint8_t net[NETADDR_BYTES], unsigned prefix)
{
	unsigned bytes = prefix / 8, bits = prefix % 8;
	unsigned mask = 0xff00u >> bits & 0xffu;

	return memcmp(addr, net, bytes) == 0 &&
	       (bits == 0 || ((addr[bytes] ^ net[bytes]) & mask) == 0);
}

/* --- one rule ------------------------------------------------------------ */

static int
bad(const char *text, const char *why, struct err *e)
{
	char shown[100];

	str_show(shown, sizeof(shown), text, strlen(text));
	return err_set(e, ERR_BAD_REQUEST, "'%s': %s", shown, why);
}

static int
parse_port(const char *s, size_t n, uint16_t *port_out)
{
	char text[8];
	int64_t v;

	if (n == 0 || n >= sizeof(text))
		return -1;
	memcpy(text, s, n);
	text[n] = '\0';
	if (str_to_int(text, 1, 65535, &v) == -1)
		return -1;
	*port_out = (uint16_t)v;
	return 0;
}

/* "443", "80,443", "8000-8100,9000" */
static int
parse_ports(struct netrule *r, const char *s, const char *text, struct err *e)
{
	for (;;) {
		size_t n = strcspn(s, ","), dash = strcspn(s, "-");
		uint16_t low, high;

		if (r->nports == NETRULE_PORTS_MAX)
			return bad(text, "more than 16 ports", e);
		if (dash >= n)
			dash = n;
		if (parse_port(s, dash, &low) == -1)
			return bad(text, "ports are 1 to 65535", e);
		high = low;
		if (dash < n && parse_port(s + dash + 1, n - dash - 1, &high))
			return bad(text, "ports are 1 to 65535", e);
		if (high < low)
			return bad(text, "a range of ports that is empty", e);
		r->ports[r->nports].low = low;
		r->ports[r->nports++].high = high;
		if (s[n] == '\0')
			return 0;
		s += n + 1;
	}
}

/* ADDRESS or ADDRESS/BITS: 1 when it is that, 0 when it is something else. */
static int
parse_net(
    struct netrule *r, const char *s, size_t n, const char *text, struct err *e)
{
	const char *slash = memchr(s, '/', n);
	size_t len = slash != NULL ? (size_t)(slash - s) : n;
	int64_t bits = 128, most;
	char num[8] = "";

	if (netaddr_parse(r->addr, s, len) == -1)
		return slash == NULL ? 0 : bad(text, "no such network", e);
	most = netaddr_is_v4(r->addr) && memchr(s, ':', len) == NULL ? 32 : 128;
	if (slash != NULL) {
		if (n - len - 1 >= sizeof(num))
			return bad(text, "no such network", e);
		memcpy(num, slash + 1, n - len - 1);
		if (str_to_int(num, 0, most, &bits) == -1)
			return bad(
			    text, "bits of a network: 0 to 32, or 128", e);
		bits += 128 - most;
	}
	for (unsigned i = (unsigned)bits; i < 128; i++) {
		if ((r->addr[i / 8] & (0x80u >> (i % 8))) != 0)
			return bad(text,
			    "a network whose address has bits beyond its "
			    "prefix",
			    e);
	}
	r->kind = NETRULE_NET;
	r->prefix = (unsigned)bits;
	return 1;
}

static int
parse_host(
    struct netrule *r, const char *s, size_t n, const char *text, struct err *e)
{
	int is_net;

	if (n == 1 && s[0] == '*') {
		r->kind = NETRULE_ANY;
		return 0;
	}
	is_net = parse_net(r, s, n, text, e);
	if (is_net != 0)
		return is_net == 1 ? 0 : -1;
	r->kind = NETRULE_NAME;
	if (n > 2 && s[0] == '*' && s[1] == '.') {
		r->kind = NETRULE_BELOW;
		s += 2;
		n -= 2;
	}
	if (memchr(s, '*', n) != NULL)
		return bad(text,
		    "a * stands only for the first parts of a "
		    "name, as in *.example.org",
		    e);
	if (netname_clean(r->name, s, n) == -1)
		return bad(text,
		    "neither a host name (letters, digits and hyphens; IDNs "
		    "as xn--), nor an address, nor a network",
		    e);
	return 0;
}

int
netrule_parse(const char *text, struct netrule *r, struct err *e)
{
	const char *host = text, *ports = NULL;
	size_t n = strlen(text);
	int bad_rule = 0;

	memset(r, 0, sizeof(*r));
	if (n == 0 || n > NETRULE_TEXT_MAX)
		return bad(text, "a rule has 1 to 300 bytes", e);
	if (text[0] == '[') {
		const char *end = strchr(text, ']');

		if (end == NULL || (end[1] != ':' && end[1] != '\0') ||
		    memchr(text, ':', (size_t)(end - text)) == NULL)
			return bad(text, "no address of IPv6 in brackets", e);
		host = text + 1;
		n = (size_t)(end - host);
		ports = end[1] == ':' ? end + 2 : NULL;
	} else {
		const char *colon = strchr(text, ':');

		/* With two it is an address of IPv6. */
		if (colon != NULL && strchr(colon + 1, ':') == NULL) {
			n = (size_t)(colon - text);
			ports = colon + 1;
		}
	}
	bad_rule = parse_host(r, host, n, text, e);
	if (bad_rule == 0 && ports != NULL)
		bad_rule = parse_ports(r, ports, text, e);
	if (bad_rule != 0) {
		memset(r, 0, sizeof(*r));
		return -1;
	}
	r->text = xstrdup(text);
	return 0;
}

void
netrule_free(struct netrule *r)
{
	free(r->text);
	memset(r, 0, sizeof(*r));
}

static bool
has_port(const struct netrule *r, uint16_t port)
{
	for (size_t i = 0; i < r->nports; i++) {
		if (port >= r->ports[i].low && port <= r->ports[i].high)
			return true;
	}
	return r->nports == 0;
}

bool
netrule_has_name(const struct netrule *r, const char *name, uint16_t port)
{
	size_t n = strlen(name), m = strlen(r->name);

	if (!has_port(r, port))
		return false;
	if (r->kind == NETRULE_ANY)
		return true;
	if (r->kind == NETRULE_NAME)
		return strcmp(r->name, name) == 0;
	return r->kind == NETRULE_BELOW && n > m + 1 &&
	       name[n - m - 1] == '.' && strcmp(name + n - m, r->name) == 0;
}

bool
netrule_has_addr(
    const struct netrule *r, const uint8_t addr[NETADDR_BYTES], uint16_t port)
{
	return r->kind == NETRULE_NET && has_port(r, port) &&
	       netaddr_within(addr, r->addr, r->prefix);
}

/* --- lists --------------------------------------------------------------- */

static void
list_free(struct netrule **list, size_t *n)
{
	while (*n > 0)
		netrule_free(&(*list)[--*n]);
	free(STEAL(*list));
}

static int
list_parse(const struct json *list, const char *name, struct netrule **out,
    size_t *n_out, struct err *e)
{
	if (list == NULL || list->len == 0)
		return 0;
	if (list->len > NETPOLICY_RULES_MAX)
		return err_set(e, ERR_BAD_REQUEST, "%s: more than %d rules",
		    name, NETPOLICY_RULES_MAX);
	*out = xcalloc(list->len, sizeof(**out));
	json_foreach (it, list) {
		if (netrule_parse(it->str, &(*out)[*n_out], e) == -1)
			return err_prefix(e, "%s", name);
		++*n_out;
	}
	return 0;
}

int
netpolicy_parse(const struct json *obj, struct netpolicy *p, struct err *e)
{
	static const struct json_field fields[] = {
		{ "allow", JK_STRV, false, 0, NETPOLICY_RULES_MAX },
		{ "deny", JK_STRV, false, 0, NETPOLICY_RULES_MAX },
		{ "default", JK_STR, false, 1, 8 },
	};
	const char *def = json_str(obj, "default", "deny");

	memset(p, 0, sizeof(*p));
	if (obj != NULL && json_check(obj, fields, countof(fields), e) == -1)
		return -1;
	if (strcmp(def, "deny") != 0 && strcmp(def, "allow") != 0)
		return err_set(e, ERR_BAD_REQUEST,
		    "default: '%s' is neither deny nor allow", def);
	p->default_allow = def[0] == 'a';
	if (list_parse(json_get(obj, "allow"), "allow", &p->allow, &p->nallow,
		e) == -1 ||
	    list_parse(json_get(obj, "deny"), "deny", &p->deny, &p->ndeny, e) ==
		-1) {
		netpolicy_free(p);
		return -1;
	}
	return 0;
}

void
netpolicy_free(struct netpolicy *p)
{
	list_free(&p->allow, &p->nallow);
	list_free(&p->deny, &p->ndeny);
	p->default_allow = false;
}

static void
list_write(struct jw *w, const char *name, const struct netrule *r, size_t n)
{
	jw_key(w, name);
	jw_array(w);
	for (size_t i = 0; i < n; i++)
		jw_str(w, r[i].text);
	jw_array_end(w);
}

void
netpolicy_write(const struct netpolicy *p, struct jw *w)
{
	jw_object(w);
	list_write(w, "allow", p->allow, p->nallow);
	list_write(w, "deny", p->deny, p->ndeny);
	jw_kstr(w, "default", p->default_allow ? "allow" : "deny");
	jw_object_end(w);
}
