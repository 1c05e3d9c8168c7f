/*
 * Compaction; see compact.h. Runs in the store before it opens the database.
 *
 * The new file takes the old one's place by a rename. Whoever had the old one
 * open would go on reading that, and its slot in the lock file would mean
 * another file's pages: so there must be nobody, which the lock that LMDB's
 * users share tells. Who comes meanwhile waits: who writes for that lock, who
 * reads for the guard. The lock file stays: it is the same for all, and the
 * first to have it alone clears its table.
 */
#include "store/compact.h"

#include "lib/dbguard.h"
#include "lib/log.h"
#include "store/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DATA "data.mdb"
#define FRESH "data.mdb.compact"
#define LOCK "lock.mdb"
#define WORTH_BYTES (1 << 20)

struct pages {
	uint64_t used, free, size;
};

/* The pages that the free list holds: each entry begins with their number. */
static int
count_free(MDB_env *env, struct pages *p_out)
{
	MDB_envinfo info;
	MDB_cursor *cur;
	MDB_stat stat;
	MDB_txn *txn;
	MDB_val k, v;
	size_t n;
	int rc = mdb_env_info(env, &info);

	if (rc == 0)
		rc = mdb_env_stat(env, &stat);
	if (rc == 0)
		rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
	if (rc != 0)
		return rc;
	p_out->used = info.me_last_pgno + 1;
	p_out->free = 0;
	p_out->size = stat.ms_psize;
	rc = mdb_cursor_open(txn, 0, &cur); /* the free list is table 0 */
	if (rc != 0) {
		mdb_txn_abort(txn);
		return rc;
	}
	while ((rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT)) == 0) {
		if (v.mv_size < sizeof(n))
			continue;
		memcpy(&n, v.mv_data, sizeof(n));
		p_out->free += n;
	}
	mdb_cursor_close(cur); /* a reader's is nobody's but ours */
	mdb_txn_abort(txn);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int
write_fresh(MDB_env *env)
{
	autofd int fd = -1;
	int rc;

	(void)unlink(FRESH); /* of a former try */
	fd = open(FRESH, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (fd == -1)
		return errno;
	rc = mdb_env_copyfd2(env, fd, MDB_CP_COMPACT);
	if (rc == 0 && fsync(fd) == -1)
		rc = errno;
	return rc;
}

static int
swap(void)
{
	autofd int dir_fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir_fd == -1 || rename(FRESH, DATA) == -1 || fsync(dir_fd) == -1)
		return errno;
	return 0;
}

static int
compact(unsigned share, struct pages *p_out)
{
	MDB_env *env;
	int rc = mdb_env_create(&env);

	if (rc != 0)
		return rc;
	rc = mdb_env_open(env, ".", MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS, 0640);
	if (rc == 0)
		rc = count_free(env, p_out);
	if (rc == 0 && p_out->used * p_out->size >= WORTH_BYTES &&
	    p_out->free * 100 >= p_out->used * share) {
		rc = write_fresh(env);
		mdb_env_close(env);
		return rc == 0 ? swap() : rc;
	}
	p_out->free = 0;
	mdb_env_close(env);
	return rc;
}

int
compact_here(unsigned share, struct err *e)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct pages p = { 0 };
	autofd int guard_fd = -1, lock_fd = -1;
	int rc;

	if (share == 0 || access(DATA, F_OK) == -1)
		return 0;
	guard_fd = dbguard_alone(".");
	/* LMDB's locks are of processes, this one is of the descriptor: they
	 * exclude each other, also ours our own. */
	lock_fd = open(LOCK, O_RDWR | O_CLOEXEC);
	if (guard_fd == -1 ||
	    (lock_fd != -1 && fcntl(lock_fd, F_OFD_SETLK, &all) == -1))
		return 0; /* somebody has it open: another time */
	rc = compact(share, &p);
	if (rc != 0) {
		(void)unlink(FRESH);
		return db_err(e, rc, "compact the database");
	}
	if (p.free > 0)
		log_info("store", "database compacted",
		    LOG_INT("pages", p.used), LOG_INT("free", p.free));
	return 0;
}
