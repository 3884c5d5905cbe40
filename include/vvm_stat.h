/* SPDX-License-Identifier: MIT */
/*
 * vvm_stat.h - statistics: the one table of counters, and the layout of the
 * shared segment through which vvmstat reads them.
 *
 * The library publishes one segment for each open space, a file of mode 0600
 * named VVM_STAT_PREFIX "<pid>.<n>" in VVM_STAT_DIR, mapped shared and
 * removed by vvm_close(). Writers are the library's threads: each *actor*
 * (handler, reclaimer, or "api" for the application's own threads) has a
 * block of counters, so that the fault path takes no lock and shares no
 * cache line. Readers map it read-only and add up the actors. Every field is
 * a naturally aligned 64-bit word unless it says otherwise; a reader sees
 * each word whole, and words of different times.
 *
 * Within one VVM_STAT_VERSION the two tables below only grow, at their ends:
 * a reader takes what both sides know. Every other change is a new version.
 * actor_count is the number of blocks handed out so far and may grow.
 */
#ifndef VVM_STAT_H
#define VVM_STAT_H

#include <stdint.h>

/*
 * X(name, kind, help): kind COUNT only grows; GAUGE goes up and down and is
 * the sum of the actors' changes. Units are in the names; a name without one
 * counts events.
 */
#define VVM_STAT_COUNTERS(X)                                                   \
	X(faults, COUNT, "fault events taken from the kernel")                 \
	X(faults_zero, COUNT, "of these: first touch, filled with zeros")      \
	X(faults_swapin, COUNT, "of these: read from swap")                    \
	X(faults_wp, COUNT, "of these: first write to a clean page")           \
	X(faults_joined, COUNT, "of these: the page was already on its way")   \
	X(faults_spurious, COUNT, "of these: resolved before they were read")  \
	X(faults_failed, COUNT, "of these: ended in SIGBUS")                   \
	X(zero_ahead_pages, COUNT, "zero pages filled ahead of a first touch") \
	X(intent_pages, COUNT, "read faults filled for the write to come")     \
	X(api_fills, COUNT, "pages filled by vvm_touch, pin, load and store")  \
	X(stalls, COUNT, "faults that had to wait for a free frame")           \
	X(stall_us, COUNT, "time that faults waited for a free frame")         \
	X(swapin_pages, COUNT, "pages read from swap")                         \
	X(swapin_reads, COUNT, "read requests for them")                       \
	X(swapout_pages, COUNT, "pages written to swap")                       \
	X(swapout_writes, COUNT, "write requests for them")                    \
	X(prefetch_pages, COUNT, "pages read ahead of a fault")                \
	X(prefetch_hit_pages, COUNT, "of these: found used")                   \
	X(prefetch_waste_pages, COUNT, "of these: evicted unused")             \
	X(evict_clean_pages, COUNT, "pages evicted without a write")           \
	X(evict_zero_pages, COUNT, "of these: all zero, hold no slot")         \
	X(evict_written_pages, COUNT, "pages evicted after a write")           \
	X(writeback_cancelled_pages, COUNT, "written again while in flight")   \
	X(writeback_failed_pages, COUNT, "write failed, page kept dirty")      \
	X(reclaim_steps, COUNT, "blocks that the clock hand passed")           \
	X(reclaim_scanned_pages, COUNT, "resident pages looked at")            \
	X(reclaim_referenced_pages, COUNT, "of these: used since last time")   \
	X(reclaim_direct_steps, COUNT, "steps that a fault had to do itself")  \
	X(discarded_pages, COUNT, "pages dropped by unmap and DONTNEED")       \
	X(read_errors, COUNT, "pages that swap could not give back")           \
	X(poisoned_pages, COUNT, "pages whose content is lost")                \
	X(frame_timeouts, COUNT, "accesses that failed for want of a frame")   \
	X(swap_full, COUNT, "times that swap had no slot to give")             \
	X(denied, COUNT, "illegal accesses seen by the fault callback")        \
	X(resident_pages, GAUGE, "frames in use, those in flight included")    \
	X(dirty_pages, GAUGE, "frames that hold the only copy")                \
	X(pinned_pages, GAUGE, "frames that must not be evicted")              \
	X(swapped_pages, GAUGE, "pages whose only copy is in swap")            \
	X(mapped_bytes, GAUGE, "guest bytes in regions")                       \
	X(regions, GAUGE, "regions")

enum vvm_stat_counter {
#define X(name, kind, help) VVM_STAT_##name,
	VVM_STAT_COUNTERS(X)
#undef X
	VVM_STAT_COUNTER_COUNT
};

/* Values that are set, not added up. All 64-bit. */
#define VVM_STAT_VALUES(X)                                                     \
	X(budget_pages, "frames that the space may use")                       \
	X(peak_pages, "most frames ever in use")                               \
	X(swap_used_pages, "slots in use")                                     \
	X(swap_area_pages, "slots that the swap file has now")                 \
	X(swap_limit_pages, "slots that it may have")                          \
	X(handlers, "handler threads")                                         \
	X(io_uring, "1: io_uring, 0: pread and pwrite")                        \
	X(direct_io, "1: swap is opened with O_DIRECT")

/*
 * Fault latency histogram: from the event being read to the thread being
 * woken. Bucket i holds latencies from vvm_stat_bucket_ns(i) up to
 * vvm_stat_bucket_ns(i + 1), eight buckets to each power of two.
 */
#define VVM_STAT_BUCKETS 256

static inline uint64_t vvm_stat_bucket_ns(unsigned i)
{
	unsigned octave = i / 8, step = i % 8;

	return octave ? ((uint64_t)8 + step) << (octave - 1) : step;
}

static inline unsigned vvm_stat_bucket(uint64_t ns)
{
	unsigned octave, i;

	if (ns < 8)
		return (unsigned)ns;
	octave = 63 - (unsigned)__builtin_clzll(ns) - 2;
	i = octave * 8 + (unsigned)((ns >> (octave - 1)) & 7);
	return i < VVM_STAT_BUCKETS ? i : VVM_STAT_BUCKETS - 1;
}

#define VVM_STAT_DIR	 "/dev/shm"
#define VVM_STAT_PREFIX	 "vvm-stat."
#define VVM_STAT_MAGIC	 0x3154415453565656ull /* "VVVSTAT1" little endian */
#define VVM_STAT_VERSION 1
#define VVM_STAT_ACTORS	 40

enum vvm_stat_role { VVM_STAT_API, VVM_STAT_HANDLER, VVM_STAT_RECLAIMER };

struct vvm_stat_actor {
	uint64_t role; /* enum vvm_stat_role */
	uint64_t tid;
	int64_t counter[VVM_STAT_COUNTER_COUNT];
	uint64_t latency[VVM_STAT_BUCKETS];
} __attribute__((aligned(64)));

struct vvm_stat_segment {
	uint64_t magic;
	uint32_t version;
	uint32_t counter_count; /* VVM_STAT_COUNTER_COUNT of the writer */
	uint64_t segment_bytes;
	uint64_t actor_offset, actor_bytes, actor_count;
	uint64_t pid;
	uint64_t pid_start;	 /* field 22 of /proc/PID/stat */
	uint64_t opened_unix_us; /* CLOCK_REALTIME of vvm_open() */
	uint64_t closed;	 /* 1: the space was closed */
	char command[64];	 /* NUL-terminated, as in /proc/PID/comm */
	char library_version[32];
	struct {
#define X(name, help) uint64_t name;
		VVM_STAT_VALUES(X)
#undef X
	} value;
	struct vvm_stat_actor actor[VVM_STAT_ACTORS];
};

#endif
