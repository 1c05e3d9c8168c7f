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
 * The supervisor, as root, looks at the host and keeps what is to be done as a
 * list in a sealed memory file; each sandbox's child performs it in its own
 * scratch file system. (A layer made once, on the host's disk, would lie below
 * the host's root, and overlayfs refuses a layer inside another.)
 */
#ifndef SANDBOX_HIDE_H
#define SANDBOX_HIDE_H

#include "lib/err.h"

struct hide;

/* Look at the host. EXTRA: absolute paths to hide besides, NULL-terminated. */
int hide_open(const char *const *extra, struct hide **h_out, struct err *e);
/* Descriptor of the present list, borrowed until the next call; looks again at
 * the host if the last look is older than 5 s. -1 with E set when that fails.
 * A sandbox's plan takes it as hide_fd. */
int hide_layer(struct hide *h, struct err *e);
void hide_close(struct hide *h);

/* Child: perform the list in the empty directories HIDE and GONE below DIR_FD,
 * to be used in this order as lower layers above the host's root. 0, or -1
 * with errno. */
int hide_perform(int layer_fd, int dir_fd);
#define HIDE_LAYERS "hide:gone"

#endif
