/*
 * What the host keeps to itself when its own root is a sandbox's lower layer.
 *
 * Two more overlay layers lie above the host's root: empty directories where a
 * place must exist (/root, /home, /var/log, …), and whiteouts where a file or
 * an unknown top-level directory would be, and below those directories. No
 * mount is needed for that, so none can be taken away.
 *
 * Hidden: top-level entries that no distribution standard names; the content
 * of /root, /home, /srv, /mnt, /media, /boot, /run, /tmp, /var/log, /var/tmp;
 * in /etc, /var, /opt, /usr/local whatever others may not read (mode without
 * o+r, directories without o+rx): shadow files, keys, sudoers, other daemons'
 * state; sockets; the supervisor's own configuration, state and run
 * directories wherever they lie.
 *
 * The supervisor, as root, looks at the host and makes the two layers in a
 * tmpfs that is mounted nowhere; sandboxes share it. (On the host's disk they
 * would lie below the host's root, and overlayfs refuses a layer inside
 * another.) Beside them lies the list that they were made from: kernels before
 * 6.15 cannot clone a mount that is mounted nowhere, and there each sandbox's
 * child performs the list in its own scratch file system.
 */
#ifndef SANDBOX_HIDE_H
#define SANDBOX_HIDE_H

#include "lib/err.h"

struct hide;

/* Look at the host. EXTRA: absolute paths to hide besides, NULL-terminated. */
int hide_open(const char *const *extra, struct hide **h_out, struct err *e);
/* Descriptor of the present layers, borrowed until the next call; a sandbox's
 * plan takes it as hide_fd. Looks again at the host if the last look is older
 * than 5 s: for whatever has appeared, gone or been renamed; and if it is older
 * than 60 s, which takes 15 ms for 10,000 files, for modes changed in place.
 * -1 with E set when that fails. */
int hide_layer(struct hide *h, struct err *e);
/* Do ahead what the next hide_layer() would do; called every 4 s, none of those
 * has to. */
int hide_refresh(struct hide *h, struct err *e);
void hide_close(struct hide *h);

/* The layers in the order in which they go above the host's root. */
#define HIDE_LAYERS_N 2
#define HIDE_LAYERS "hide:gone"
extern const char *const hide_names[HIDE_LAYERS_N];

/* Child: make the layers in the empty directories of these names below DIR_FD.
 * 0, or -1 with errno. */
int hide_perform(int layer_fd, int dir_fd);

#endif
