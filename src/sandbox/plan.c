/*
 * Names of the mechanisms. Data only; any process of ours.
 */
#include "sandbox/plan.h"

const char *
mechanism_name(enum mechanism m)
{
	static const char *const names[MECH_N] = {
#define X(sym, name) [MECH_##sym] = name,
		MECHANISMS(X)
#undef X
	};

	return (unsigned)m < MECH_N ? names[m] : "unknown";
}
