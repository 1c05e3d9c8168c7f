/*
 * /dev of a sandbox.
 */
#ifndef SANDBOX_DEVICES_H
#define SANDBOX_DEVICES_H

#include "sandbox/setup.h"

/* Supervisor, root: a tmpfs mounted nowhere, with what every /dev holds; the
 * sandboxes share it, read-only. Descriptor, or -1 with errno. */
int devices_template(void);
/* Child: mount /dev, from s->dev_fd where the supervisor could clone the
 * template, else from the host's nodes. 0, or -1 with errno. */
int devices_mount(struct setup *s);

#endif
