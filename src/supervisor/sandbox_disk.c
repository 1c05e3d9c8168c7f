/*
 * The bound on a sandbox's disk: which one it has, and attaching its image
 * before each start. Runs in the supervisor; how it is done is sandbox/disk.h.
 *
 * An image is mounted anew for each start, and not by us: we hold the mount
 * only between the child that made it and the launch that takes it. So its
 * last user is always a process of the sandbox, and it is that one's exit that
 * waits while the kernel writes back what is left.
 */
#include "lib/log.h"
#include "lib/xalloc.h"
#include "sandbox/disk.h"
#include "supervisor/instance.h"
#include "supervisor/sandbox_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/statvfs.h>

struct sandbox_disk {
	enum disk_by by;
	int mount_fd; /* owned: attached and not taken yet; or -1 */
	bool busy;    /* a child is at it */
	struct disk_job job;
	ev_io io;
	ev_child child;
	ev_timer deadline;
	disk_done *done;
};

int
sandbox_disk_check(
    struct super *s, const struct sandbox_spec *sp, struct err *e)
{
	struct statvfs st;

	/* Of a small file system, such as a container's tmpfs, a tenth. */
	if (s->conf.disk_reserve > 0 && fstatvfs(s->state_fd, &st) == 0 &&
	    (int64_t)st.f_bavail * (int64_t)st.f_frsize <
		MIN(s->conf.disk_reserve,
		    (int64_t)(st.f_blocks / 10) * (int64_t)st.f_frsize))
		return err_set(e, ERR_LIMIT,
		    "the disk of %s has less free than sandbox.disk_reserve",
		    s->conf.state_dir);
	if (sp->limits.disk_bytes != 0 && s->disk_by == DISK_BY_NONE)
		return err_set(e, ERR_ISOLATION_UNAVAILABLE,
		    "limits.disk: this host cannot hold a sandbox to it: %s",
		    s->disk_why);
	return 0;
}

void
sandbox_disk_init(struct sandbox *sb, enum disk_by by)
{
	if (by == DISK_BY_NONE || by == DISK_BY_N)
		return;
	sb->disk = xcalloc(1, sizeof(*sb->disk));
	sb->disk->by = by;
	sb->disk->mount_fd = -1;
}

enum disk_by
sandbox_disk_by(const struct sandbox *sb)
{
	return sb->disk != NULL ? sb->disk->by : DISK_BY_NONE;
}

static uint32_t
project_of(const struct sandbox *sb)
{
	/* As unlike every other as its ids are. */
	return sandbox_first_id(sb);
}

/* --- attaching an image -------------------------------------------------- */

static void
job_end(struct sandbox *sb)
{
	struct sandbox_disk *d = sb->disk;

	ev_io_stop(sb->s->loop, &d->io);
	ev_timer_stop(sb->s->loop, &d->deadline);
	fd_close(&d->job.fd);
}

static void
tell(struct sandbox *sb, const struct err *e)
{
	disk_done *done = STEAL(sb->disk->done);

	if (e != NULL)
		log_warn("sandbox", "disk not attached",
		    LOG_STR("sandbox", sb->id), LOG_STR("detail", e->text));
	if (done != NULL)
		done(sb, e);
}

static void
on_result(struct ev_loop *loop ATTR_UNUSED, ev_io *io, int revents ATTR_UNUSED)
{
	struct sandbox *sb = io->data;
	struct sandbox_disk *d = sb->disk;
	struct err e;
	int rc = disk_image_result(&d->job, &d->mount_fd, &e);

	job_end(sb);
	tell(sb, rc == -1 ? &e : NULL);
}

static void
on_deadline(
    struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct sandbox *sb = t->data;
	struct err e;

	/* Ours, and not reaped while BUSY: the number is its own. */
	(void)kill(sb->disk->job.pid, SIGKILL);
	job_end(sb);
	err_set(&e, ERR_TIMEOUT,
	    "its disk image could not be attached in time; is it still in use "
	    "from before?");
	tell(sb, &e);
}

static void
on_job_exit(struct ev_loop *loop, ev_child *c, int revents ATTR_UNUSED)
{
	struct sandbox *sb = c->data;

	ev_child_stop(loop, c);
	sb->disk->busy = false;
	/* Its answer may still lie there; without one, that is read. */
	if (sb->disk->job.fd == -1 && sb->disk->done != NULL)
		tell(sb, NULL); /* called off; see sandbox_disk_cancel() */
}

int
sandbox_disk_attach(struct sandbox *sb, disk_done *done, struct err *e)
{
	struct sandbox_disk *d = sb->disk;
	autofd int dir_fd = -1;

	if (d->busy && d->job.fd == -1)
		return err_set(e, ERR_SANDBOX_STATE,
		    "its disk image is still being let go of");
	d->done = done;
	if (d->busy)
		return 0; /* under way already */
	if (instance_open_dir(sb->s, sb->id, &dir_fd, e) == -1 ||
	    disk_image_start(dir_fd, sb->spec.limits.disk_bytes,
		sb->spec.limits.inodes, &d->job, e) == -1)
		return -1;
	d->busy = true;
	ev_io_init(&d->io, on_result, d->job.fd, EV_READ);
	ev_child_init(&d->child, on_job_exit, d->job.pid, 0);
	ev_timer_init(&d->deadline, on_deadline,
	    (double)sb->s->conf.start_ms / 1000., 0.);
	d->io.data = d->child.data = d->deadline.data = sb;
	ev_io_start(sb->s->loop, &d->io);
	ev_child_start(sb->s->loop, &d->child);
	ev_timer_start(sb->s->loop, &d->deadline);
	return 0;
}

bool
sandbox_disk_ready(const struct sandbox *sb)
{
	return sandbox_disk_by(sb) != DISK_BY_IMAGE || sb->disk->mount_fd != -1;
}

bool
sandbox_disk_busy(const struct sandbox *sb)
{
	return sb->disk != NULL && sb->disk->busy;
}

/* --- a start, an end ----------------------------------------------------- */

int
sandbox_disk_take(struct sandbox *sb, struct plan *p, struct err *e)
{
	struct sandbox_disk *d = sb->disk;
	struct err why;

	if (d == NULL)
		return 0;
	if (d->by == DISK_BY_QUOTA)
		return disk_quota_set(p->dir_fd, project_of(sb),
		    sb->spec.limits.disk_bytes, sb->spec.limits.inodes, e);
	if (d->mount_fd == -1) {
		/* A restart that came faster than the mount: the next one. */
		if (!d->busy && sandbox_disk_attach(sb, NULL, &why) == -1)
			return err_set(e, why.code, "%s", why.text);
		return err_set(
		    e, ERR_SANDBOX_STATE, "its disk image is being attached");
	}
	fd_close(&p->dir_fd);
	p->dir_fd = fd_steal(&d->mount_fd);
	p->dir_is_tree = true;
	return 0;
}

void
sandbox_disk_cancel(struct sandbox *sb, disk_done *then)
{
	struct sandbox_disk *d = sb->disk;

	if (d == NULL)
		return;
	fd_close(&d->mount_fd);
	d->done = NULL;
	if (!d->busy)
		return;
	(void)kill(d->job.pid, SIGKILL);
	job_end(sb);
	d->done = then;
}

int
sandbox_disk_change(
    struct sandbox *sb, const struct plan_limits *next, struct err *e)
{
	autofd int dir_fd = -1;

	if (instance_open_dir(sb->s, sb->id, &dir_fd, e) == -1)
		return -1;
	return disk_quota_set(
	    dir_fd, project_of(sb), next->disk_bytes, next->inodes, e);
}

int
sandbox_weights_check(
    struct super *s, const struct plan_limits *l, struct err *e)
{
	if (l->cpu_weight != 0 &&
	    (s->cgroups == NULL || !cgroup_host_weighs_cpu(s->cgroups)))
		return err_set(e, ERR_ISOLATION_UNAVAILABLE,
		    "limits.cpu_weight: this host has no cpu control group");
	if (l->io_weight != 0 &&
	    (s->cgroups == NULL || !cgroup_host_weighs_io(s->cgroups)))
		return err_set(e, ERR_ISOLATION_UNAVAILABLE,
		    "limits.io_weight: this host cannot weigh io: no io "
		    "control group of version 2, or a disk scheduler without "
		    "weights");
	return 0;
}

void
sandbox_disk_destroy(struct sandbox *sb)
{
	autofd int dir_fd = -1;
	struct err e;

	if (sandbox_disk_by(sb) == DISK_BY_QUOTA &&
	    instance_open_dir(sb->s, sb->id, &dir_fd, &e) == 0)
		disk_quota_drop(dir_fd, project_of(sb));
}

void
sandbox_disk_free(struct sandbox *sb)
{
	if (sb->disk == NULL)
		return;
	sandbox_disk_cancel(sb, NULL);
	if (sb->disk->busy)
		ev_child_stop(sb->s->loop, &sb->disk->child);
	free(STEAL(sb->disk));
}

/* Of a running one; what a stopped one uses is written on its disk only. */
int
sandbox_disk_use(const struct sandbox *sb, struct disk_use *use)
{
	if (sb->disk == NULL || sb->proc.pid == -1)
		return -1;
	return disk_use(sb->proc.pid, use);
}
