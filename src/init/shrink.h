/*
 * Being small while there is nothing to do.
 */
#ifndef INIT_SHRINK_H
#define INIT_SHRINK_H

/* Let go of what an idle process does not need: free heap, and the mapping of
 * its text, which comes back as it is used from the file that every init on the
 * host shares. Start-up, above all, has touched most of it for the first and
 * last time. */
void init_shrink(void);

#endif
