/*
 * POST /v1/sandboxes: from OpenSandbox's words to sandbox.create. Runs in
 * sandboxd-gateway on what any client with the global token has sent. What we
 * cannot do is refused: nobody shall believe that a rule holds which does not.
 */
#include "gateway/doors/osb.h"
#include "lib/frame.h"
#include "lib/xalloc.h"

#include <limits.h>
#include <sha2.h>
#include <string.h>
#include <sys/utsname.h>

#define EGRESS_MAX 512 /* rules of a network, as lib/netrule.h has it */
#define VOLUMES_MAX 28
#define WORDS_MAX 1024

#define NOT_SUPPORTED "SANDBOX::API_NOT_SUPPORTED"

/* A refusal: which problem, which code. */
struct refusal {
	enum problem problem;
	const char *code;
};

static const struct refusal malformed = { PROBLEM_BAD_BODY, "INVALID_REQUEST" };
static const struct refusal unsupported = { PROBLEM_INVALID_REQUEST,
	NOT_SUPPORTED };
static const struct refusal bad_label = { PROBLEM_INVALID_REQUEST,
	"SANDBOX::INVALID_METADATA_LABEL" };

struct creation {
	const struct json *body;
	const struct json *ours; /* body.sandboxd */
	const struct refusal *why;
	struct err e;
	struct jw w; /* the arguments of sandbox.create */
};

#define refuse(c, kind, ...) \
	((c)->why = &(kind), err_set(&(c)->e, ERR_BAD_REQUEST, __VA_ARGS__))

/* A member that is there and not null. */
static const struct json *
member(const struct json *obj, const char *name)
{
	const struct json *v = json_get(obj, name);

	return v == NULL || v->type == JSON_NULL ? NULL : v;
}

/* A list of texts, at most MAX, which the control channel takes as it is. */
static bool
is_words(const struct json *v, size_t max)
{
	char **words = v->len <= max ? json_strv(v) : NULL;

	strv_free(words);
	return words != NULL;
}

static bool
is_map(const struct json *v)
{
	json_foreach (it, v) {
		if (it->type != JSON_STRING || strlen(it->str) != it->len)
			return false;
	}
	return v->type == JSON_OBJECT;
}

/* --- parts --------------------------------------------------------------- */

static int
take_image(struct creation *c)
{
	const struct json *image = member(c->body, "image");
	const struct json *entry = member(c->body, "entrypoint");
	const char *uri = json_str(image, "uri", "");

	if (member(c->body, "snapshotId") != NULL)
		return image != NULL
			   ? refuse(c, malformed,
				 "one of image and snapshotId, not both")
			   : refuse(
				 c, unsupported, "snapshots are not supported");
	if (image == NULL)
		return refuse(c, malformed, "image is missing");
	if (uri[0] == '\0' || strlen(uri) > 4095)
		return refuse(c, malformed,
		    "image.uri must be host, the path of a directory, or a "
		    "name that the server's configuration has");
	if (entry == NULL || entry->len == 0)
		return refuse(
		    c, malformed, "entrypoint is missing: a list of words");
	if (!is_words(entry, WORDS_MAX))
		return refuse(c, malformed,
		    "entrypoint must be a list of at most %d words", WORDS_MAX);
	jw_kstr(&c->w, "image", uri);
	jw_kvalue(&c->w, "entrypoint", entry);
	return 0;
}

static int
take_maps(struct creation *c)
{
	const struct json *env = member(c->body, "env");
	const struct json *metadata = member(c->body, "metadata");

	if (env != NULL && (!is_map(env) || env->len > 512))
		return refuse(
		    c, malformed, "env must be at most 512 names with texts");
	if (env != NULL)
		jw_kvalue(&c->w, "env", env);
	if (metadata == NULL)
		return 0;
	if (metadata->len > 64)
		return refuse(c, bad_label, "metadata has more than 64 keys");
	if (osb_labels_check(metadata, false, &c->e) == -1) {
		c->why = &bad_label;
		return -1;
	}
	jw_kvalue(&c->w, "labels", metadata);
	return 0;
}

/* resourceLimits, and what sandboxd.limits adds. */
static int
take_limits(struct creation *c)
{
	const struct json *theirs = member(c->body, "resourceLimits");
	const struct json *ours = member(c->ours, "limits");
	int64_t millis;

	jw_key(&c->w, "limits");
	jw_object(&c->w);
	json_foreach (it, theirs) {
		bool cpu = strcmp(it->key, "cpu") == 0;

		if (!cpu && strcmp(it->key, "memory") != 0)
			return refuse(c, unsupported,
			    "resourceLimits.%.64s is not supported; cpu and "
			    "memory are",
			    it->key);
		if (json_get(ours, it->key) != NULL)
			return refuse(c, malformed,
			    "%s stands in resourceLimits and in "
			    "sandboxd.limits",
			    it->key);
		if ((it->type != JSON_STRING && it->type != JSON_NUMBER) ||
		    it->len > 32 || osb_quantity(it->str, &millis) == -1 ||
		    millis <= 0)
			return refuse(c, malformed,
			    "resourceLimits.%s is no quantity such as %s",
			    it->key, cpu ? "500m" : "512Mi");
		jw_key(&c->w, it->key);
		if (cpu)
			jw_double(&c->w, (double)millis / 1000.);
		else
			jw_int(&c->w, millis / 1000);
	}
	json_foreach (it, ours) {
		jw_kvalue(&c->w, it->key, it);
	}
	jw_object_end(&c->w);
	return 0;
}

/* The targets that have ACTION, of each the first rule alone. */
static void
take_rules(struct creation *c, const struct json *rules, const char *action)
{
	jw_key(&c->w, action);
	jw_array(&c->w);
	json_foreach (it, rules) {
		const char *target = json_str(it, "target", NULL);
		bool first = true;

		json_foreach (m, rules) {
			if (m == it)
				break;
			if (strcasecmp(json_str(m, "target", ""),
				target != NULL ? target : "") == 0)
				first = false;
		}
		if (first && target != NULL &&
		    strcmp(json_str(it, "action", ""), action) == 0)
			jw_str(&c->w, target);
	}
	jw_array_end(&c->w);
}

/* networkPolicy.egress: [{action, target}]. */
static int
take_egress(struct creation *c, const struct json *rules, const char *action)
{
	static const struct json_field fields[] = {
		{ "action", JK_STR, true, 1, 8 },
		{ "target", JK_STR, true, 1, 256 },
	};

	if (rules->type != JSON_ARRAY || rules->len > EGRESS_MAX)
		return refuse(c, malformed,
		    "networkPolicy.egress: at most %d rules", EGRESS_MAX);
	json_foreach (it, rules) {
		const char *does = json_str(it, "action", "");

		if (it->type != JSON_OBJECT ||
		    json_check(it, fields, countof(fields), &c->e) == -1 ||
		    (strcmp(does, "allow") != 0 && strcmp(does, "deny") != 0))
			return refuse(c, malformed,
			    "networkPolicy.egress: a rule is {action: allow or "
			    "deny, target}");
	}
	jw_key(&c->w, "egress");
	jw_object(&c->w);
	take_rules(c, rules, "allow");
	take_rules(c, rules, "deny");
	jw_kstr(&c->w, "default", action);
	jw_object_end(&c->w);
	return 0;
}

/* Without rules all or nothing; with them, filtered. */
static int
take_network(struct creation *c)
{
	const struct json *own = json_get(c->ours, "egress");
	const struct json *policy = member(c->body, "networkPolicy");
	const char *ours = json_str(c->ours, "network", NULL);
	const char *action = json_str(policy, "defaultAction", "deny");
	const struct json *egress = member(policy, "egress");

	if (policy != NULL && ours != NULL)
		return refuse(c, malformed,
		    "one of networkPolicy and sandboxd.network, not both");
	if (policy != NULL && own != NULL)
		return refuse(c, malformed,
		    "one of networkPolicy and sandboxd.egress, not both");
	if (ours != NULL)
		jw_kstr(&c->w, "network", ours);
	if (own != NULL)
		jw_kvalue(&c->w, "egress", own);
	if (policy == NULL)
		return 0;
	if (strcmp(action, "deny") != 0 && strcmp(action, "allow") != 0)
		return refuse(c, malformed,
		    "networkPolicy.defaultAction is neither deny nor allow");
	json_foreach (it, policy) {
		if (strcmp(it->key, "defaultAction") != 0 &&
		    strcmp(it->key, "egress") != 0 && it->type != JSON_NULL)
			return refuse(c, unsupported,
			    "networkPolicy.%.64s is not supported", it->key);
	}
	if (egress != NULL && (egress->type != JSON_ARRAY || egress->len > 0)) {
		jw_kstr(&c->w, "network", "filtered");
		return take_egress(c, egress, action);
	}
	jw_kstr(&c->w, "network", action[0] == 'a' ? "host" : "none");
	return 0;
}

static int
take_volume(struct creation *c, const struct json *v)
{
	const char *target = json_str(v, "mountPath", "");
	const char *base = json_str(json_get(v, "host"), "path", "");
	const char *sub = json_str(v, "subPath", NULL);
	char source[PATH_MAX];

	if (v->type != JSON_OBJECT || target[0] != '/')
		return refuse(c, malformed,
		    "volumes: mountPath must be an absolute path");
	if (member(v, "pvc") != NULL || member(v, "ossfs") != NULL ||
	    member(v, "host") == NULL)
		return refuse(
		    c, unsupported, "volumes: only host paths are supported");
	if (base[0] != '/')
		return refuse(
		    c, malformed, "volumes: host.path must be absolute");
	if (osb_path_join(base, sub, source, sizeof(source)) == -1 ||
	    source[0] == '\0')
		return refuse(
		    c, malformed, "volumes: subPath must lie below host.path");
	jw_object(&c->w);
	jw_kstr(&c->w, "source", source);
	jw_kstr(&c->w, "target", target);
	jw_kstr(&c->w, "mode", json_bool(v, "readOnly", false) ? "ro" : "rw");
	jw_object_end(&c->w);
	return 0;
}

static int
take_volumes(struct creation *c)
{
	const struct json *volumes = member(c->body, "volumes");
	const struct json *ours = member(c->ours, "mounts");

	if ((volumes != NULL && volumes->type != JSON_ARRAY) ||
	    (ours != NULL && ours->type != JSON_ARRAY))
		return refuse(c, malformed, "volumes and mounts are lists");
	if ((volumes != NULL ? volumes->len : 0) +
		(ours != NULL ? ours->len : 0) >
	    VOLUMES_MAX)
		return refuse(
		    c, malformed, "volumes: more than %d", VOLUMES_MAX);
	jw_key(&c->w, "mounts");
	jw_array(&c->w);
	json_foreach (it, volumes) {
		if (take_volume(c, it) == -1)
			return -1;
	}
	json_foreach (it, ours) {
		jw_value(&c->w, it);
	}
	jw_array_end(&c->w);
	return 0;
}

/* What asks for something that we do not have. */
static int
check_rest(struct creation *c)
{
	const struct json *platform = member(c->body, "platform");
	const struct json *proxy = member(c->body, "credentialProxy");
	const char *arch = "unknown";
	struct utsname un;

	if (uname(&un) == 0)
		arch = strcmp(un.machine, "x86_64") == 0    ? "amd64"
		       : strcmp(un.machine, "aarch64") == 0 ? "arm64"
							    : un.machine;
	if (platform != NULL &&
	    (strcmp(json_str(platform, "os", "linux"), "linux") != 0 ||
		strcmp(json_str(platform, "arch", arch), arch) != 0))
		return refuse(
		    c, unsupported, "platform: this machine is linux/%s", arch);
	if (json_bool(c->body, "secureAccess", false))
		return refuse(c, unsupported, "secureAccess is not supported");
	if (json_bool(proxy, "enabled", proxy != NULL))
		return refuse(
		    c, unsupported, "credentialProxy is not supported");
	json_foreach (it, member(c->body, "resourceRequests")) {
		int64_t millis;

		if (it->type != JSON_STRING ||
		    osb_quantity(it->str, &millis) == -1)
			return refuse(c, malformed,
			    "resourceRequests.%.64s is no quantity", it->key);
	}
	return 0;
}

/* One is known: each access puts the end off by so many seconds. */
static int
take_extensions(struct creation *c)
{
	static const struct refusal bad = { PROBLEM_INVALID_REQUEST,
		"INVALID_EXTENSION" };
	int64_t sec;

	json_foreach (it, member(c->body, "extensions")) {
		if (strcmp(it->key, "access.renew.extend.seconds") != 0)
			return refuse(c, unsupported,
			    "extensions: '%.64s' is not supported", it->key);
		if (it->type != JSON_STRING ||
		    str_to_int(it->str, 300, 86400, &sec) == -1)
			return refuse(c, bad,
			    "extensions: access.renew.extend.seconds must be a "
			    "text from \"300\" to \"86400\"");
		jw_kint(&c->w, "renew_on_access", sec);
	}
	return 0;
}

/* The members of `sandboxd` that are not looked at elsewhere. */
static int
take_ours(struct creation *c)
{
	static const struct json_field fields[] = {
		{ "id", JK_STR, false, 1, 63 },
		{ "network", JK_STR, false, 1, 16 },
		{ "egress", JK_OBJECT, false, 0, 3 },
		{ "mounts", JK_ARRAY, false, 0, VOLUMES_MAX },
		{ "limits", JK_OBJECT, false, 0, 16 },
		{ "isolation", JK_STR, false, 1, 16 },
		{ "user", JK_STR, false, 1, 128 },
		{ "directory", JK_STR, false, 1, 4095 },
		{ "hostname", JK_STR, false, 1, 63 },
		{ "ephemeral", JK_BOOL, false, 0, 0 },
		{ "tmpfs", JK_ARRAY, false, 0, 16 },
		{ "hosts", JK_STRMAP, false, 0, 256 },
		{ "service", JK_OBJECT, false, 0, 16 },
	};
	static const char *const plain[] = { "id", "isolation", "user",
		"directory", "hostname", "ephemeral", "tmpfs", "hosts",
		"service" };

	if (c->ours == NULL)
		return 0;
	if (json_check(c->ours, fields, countof(fields), &c->e) == -1) {
		c->why = &malformed;
		return err_prefix(&c->e, "sandboxd");
	}
	for (size_t i = 0; i < countof(plain); i++) {
		if (json_get(c->ours, plain[i]) != NULL)
			jw_kvalue(&c->w, plain[i], json_get(c->ours, plain[i]));
	}
	return 0;
}

/* --- the door ------------------------------------------------------------ */

static void
on_created(struct req *r, const struct json *result, const struct err *e)
{
	if (e != NULL)
		osb_fail(r, e, NULL, NULL);
	else
		osb_reply(r, 202, result, false);
}

static int
take_key(struct creation *c, struct req *r)
{
	const char *key = req_header(r, "Idempotency-Key");
	char hash[SHA256_DIGEST_STRING_LENGTH];

	if (key == NULL)
		return 0;
	if (key[0] == '\0' || strlen(key) > 255 ||
	    utf8_valid_prefix(key, strlen(key)) != strlen(key))
		return refuse(
		    c, malformed, "Idempotency-Key: 1 to 255 bytes of UTF-8");
	jw_kstr(&c->w, "idempotency_key", key);
	jw_kstr(&c->w, "request_hash",
	    SHA256Data((const uint8_t *)r->body, r->body_len, hash));
	return 0;
}

void
route_osb_create(struct req *r)
{
	struct creation c = { .body = r->json,
		.ours = member(r->json, "sandboxd") };
	const struct json *timeout = member(r->json, "timeout");
	struct buf args;

	buf_init(&args, FRAME_MAX - 4096);
	jw_init(&c.w, &args);
	jw_object(&c.w);
	if (take_image(&c) == -1 || take_maps(&c) == -1 ||
	    take_ours(&c) == -1 || take_limits(&c) == -1 ||
	    take_network(&c) == -1 || take_volumes(&c) == -1 ||
	    take_extensions(&c) == -1 || check_rest(&c) == -1 ||
	    take_key(&c, r) == -1) {
		req_problem_code(
		    r, c.why->problem, c.why->code, "%s", c.e.text);
		buf_free(&args);
		return;
	}
	if (timeout != NULL)
		jw_kvalue(&c.w, "timeout", timeout);
	jw_object_end(&c.w);
	osb_call(r, "sandbox.create", &args, on_created);
	buf_free(&args);
}
