/* SPDX-License-Identifier: MIT */
/*
 * support/frames.h - the independent witness of the budget: the pages that the
 * kernel has allocated to the memfd of a space.
 */
#ifndef VVM_FRAMES_H
#define VVM_FRAMES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Samples it all the time, from a thread. */
struct live_sampler {
	pthread_t thread;
	int memfd;
	uint64_t limit;
	atomic_bool stop;
	_Atomic uint64_t max_pages, samples;
};

int live_count_memfds(void);
/* A descriptor of the (only) space's memfd, or -1. Not ours to close. */
int live_memfd(void);

/* Pages that the kernel has allocated to it: the frames that exist. */
uint64_t live_frames(int memfd);

/*
 * Frames, as far as they are above the limit. st_blocks alone is not exact:
 * a page that is being added hides, for as long as its thread is preempted
 * between the page cache and the accounting, that another one was punched
 * (17 blocks at 16 cached pages, for 435 us, were seen). So an excess must
 * be one by both witnesses, twice; or, without the second, last 20 ms.
 */
uint64_t live_frames_above(int memfd, uint64_t limit);

bool live_within(int memfd, uint64_t limit);
void live_sampler_start(struct live_sampler *s, uint64_t limit);
/* Returns the largest number of frames seen. */
uint64_t live_sampler_stop(struct live_sampler *s);

#endif
