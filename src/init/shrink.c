/*
 * Giving memory back; see shrink.h. Runs in init and in its file servers.
 */
#include "init/shrink.h"
#include "lib/defs.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>

/* The mapping of the program's code and constants; SIZE and ARG are of no use
 * here. The first object told is the program; more there are none. */
static int
drop_text(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from, to;
	const ElfW(Phdr) *ph = info->dlpi_phdr;
	size_t i;

	(void)size;
	(void)arg;
	for (i = 0; i < info->dlpi_phnum; i++) {
		if (ph[i].p_type != PT_LOAD || (ph[i].p_flags & PF_W) != 0)
			continue;
		from = (info->dlpi_addr + ph[i].p_vaddr) & ~(page - 1);
		to = info->dlpi_addr + ph[i].p_vaddr + ph[i].p_memsz;
		(void)madvise((void *)from, to - from, MADV_DONTNEED);
	}
	return 1;
}

void
init_shrink(void)
{
	(void)malloc_trim(0);
	(void)dl_iterate_phdr(drop_text, NULL);
}
