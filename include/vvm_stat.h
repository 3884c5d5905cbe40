/* SPDX-License-Identifier: MIT */
/*
 * vvm_stat.h - statistics: the one table of counters, and the layout of the
 * shared segment through which vvmstat reads them.
 *
 * The library publishes one segment for each open space, a file of mode 0600
 * named VVM_STAT_PREFIX "<pid>.<n>" in VVM_STAT_DIR, mapped shared and
 * removed by vvm_close(), or when the process exits. While the space is open
 * its process holds an open file description lock on the file (fcntl(2),
 * F_OFD_SETLK): a file that nobody has locked was left behind. The pager
 * itself never reads the segment; readers map it read-only. It holds, each
 * described by a struct vvm_stat_table of the header:
 *
 *   actors   whoever counts: each handler and reclaimer thread (inline mode:
 *	      each of 16 lanes that threads are hashed to), and, as actor 0,
 *	      the application's threads in calls of the library. An actor has
 *	      a block of counters and histograms, so that the fault path takes
 *	      no lock and shares no cache line. Readers add up the actors.
 *   rings    the last VVM_STAT_EVENTS faults of each actor
 *   regions  the regions of the space, in no order
 *   blocks   the state of each page that was ever touched, 2 MiB of guest
 *	      addresses (512 pages) to a block, in no order
 *   sites    the code that waited for pages, and how long, in no order
 *
 * Every field is a naturally aligned 64-bit word unless it says otherwise; a
 * reader sees each word whole, and words of different times. Where words
 * belong together a sequence number says so. The file is sparse: only the
 * first `count` items of a table have storage, count grows, up to `max`.
 * Times are CLOCK_MONOTONIC unless their name says unix.
 *
 * Compatibility. The header up to library_version is the same in every
 * version. Within one VVM_STAT_VERSION lists and structs only grow, at their
 * ends, and the header tells the writer's sizes: a reader takes what both
 * sides know. Every other change is a new version.
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
	X(faults_swapin, COUNT, "of these: read from swap, or unpacked")       \
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
	X(swapin_us, COUNT, "time of these, summed: per second, queue depth")  \
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
	X(filling_pages, GAUGE, "pages on their way from swap")                \
	X(writing_pages, GAUGE, "pages on their way to swap")                  \
	X(waiting_faults, GAUGE, "faults that wait for a free frame")          \
	X(mapped_bytes, GAUGE, "guest bytes in regions")                       \
	X(regions, GAUGE, "regions")                                           \
	X(fork_snapshots, GAUGE, "fork children that may read this space")     \
	X(fork_copied_pages, COUNT, "pages copied for them before a change")   \
	X(watchdog_stalls, COUNT, "times that faults did not get on for 5 s")  \
	X(packed_pages, COUNT, "pages compressed into memory, not written")    \
	X(unpacked_pages, COUNT, "pages brought back from there, not read")    \
	X(spilled_pages, COUNT, "pages written to swap from there")            \
	VVM_STAT_RESIZES(X)

/*
 * Changes of the budget by their reasons, as counters; the value resize_reason
 * is one of enum vvm_stat_resize. All but the last are those of a budget that
 * follows the machine (VVM_RESIDENT=auto).
 */
#define VVM_STAT_RESIZES(X)                                                    \
	X(resize_demand, COUNT, "budget raised: pages were waited for")        \
	X(resize_idle, COUNT, "budget lowered: the program made do with less") \
	X(resize_undo, COUNT, "budget raised: lowering it had cost too much")  \
	X(resize_machine, COUNT, "budget lowered: machine short of memory")    \
	X(resize_group, COUNT, "budget lowered: memory cgroup near its limit") \
	X(resize_stall, COUNT, "budget lowered: others waited for memory")     \
	X(resize_pinned, COUNT, "budget raised: pinned pages needed it")       \
	X(resize_program, COUNT, "budget set by vvm_resize()")

enum vvm_stat_resize {
	VVM_STAT_RESIZE_NONE,
#define X(name, kind, help) VVM_STAT_BY_##name,
	VVM_STAT_RESIZES(X)
#undef X
		VVM_STAT_RESIZE_COUNT
};

enum vvm_stat_counter {
#define X(name, kind, help) VVM_STAT_##name,
	VVM_STAT_COUNTERS(X)
#undef X
		VVM_STAT_COUNTER_COUNT
};

/* Values that are set, not added up. All 64-bit. */
#define VVM_STAT_VALUES(X)                                                   \
	X(budget_pages, "frames that the space may use")                     \
	X(peak_pages, "most frames ever in use")                             \
	X(swap_used_pages, "slots in use")                                   \
	X(swap_area_pages, "slots that the swap file has now")               \
	X(swap_limit_pages, "slots that it may have")                        \
	X(handlers, "handler threads")                                       \
	X(io_uring, "1: io_uring, 0: pread and pwrite")                      \
	X(direct_io, "1: swap is opened with O_DIRECT")                      \
	X(inline_faults, "1: the faulting threads resolve their own faults") \
	X(low_pages, "reclaim starts when fewer frames than this are free")  \
	X(high_pages, "and goes on until so many are free")                  \
	X(faults_elsewhere, "faults outside of the regions that exist now")  \
	X(unpublished_blocks, "blocks for which the segment had no room")    \
	X(swap_held_pages, "slots in use for fork children only")            \
	X(guard_faults, "1: told by guard pages, without userfaultfd")       \
	X(packed_now_pages, "pages that are in memory, compressed")          \
	X(packed_frames, "of the budget, what these take")                   \
	X(packed_limit_frames, "what they may take now")                     \
	X(auto_budget, "1: the budget follows the machine")                  \
	X(resize_reason, "of its last change: enum vvm_stat_resize")

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

/*
 * The stages of a fault that was resolved. Their sum is its latency. Each has
 * a histogram of powers of two: bucket i holds [2^i, 2^(i + 1)) ns, the first
 * one also 0, the last one everything above.
 */
#define VVM_STAT_STAGES(X)                                                  \
	X(queue, "taken from the kernel; waiting for its turn and a frame") \
	X(lookup, "finding region and page, waiting for the block's lock")  \
	X(read, "claiming the page, reading it from swap (swap-in only)")   \
	X(install, "filling or unprotecting the page, waking the thread")

enum vvm_stat_stage {
#define X(name, help) VVM_STAT_STAGE_##name,
	VVM_STAT_STAGES(X)
#undef X
		VVM_STAT_STAGE_COUNT
};

#define VVM_STAT_STAGE_BUCKETS 40

static inline unsigned vvm_stat_stage_bucket(uint64_t ns)
{
	unsigned i = ns ? 63 - (unsigned)__builtin_clzll(ns) : 0;

	return i < VVM_STAT_STAGE_BUCKETS ? i : VVM_STAT_STAGE_BUCKETS - 1;
}

#define VVM_STAT_DIR	 "/dev/shm"
#define VVM_STAT_PREFIX	 "vvm-stat."
#define VVM_STAT_MAGIC	 0x3154415453565656ull /* "VVVSTAT1" little endian */
#define VVM_STAT_VERSION 2

/* ---- actors --------------------------------------------------------- */

#define VVM_STAT_ACTORS 40

enum vvm_stat_role { VVM_STAT_API, VVM_STAT_HANDLER, VVM_STAT_RECLAIMER };

/*
 * What faults wait for that have not got on for 5 seconds, as X(name, what,
 * unit of its argument). `died`: a thread was killed, and all is lost.
 */
#define VVM_STAT_STALLS(X)                                      \
	X(read, "reading from swap", "slot")                    \
	X(write, "writing to swap", "slot")                     \
	X(swap, "waiting for swap", "transfers")                \
	X(frame, "waiting for a free frame", "")                \
	X(lock, "waiting for a lock", "")                       \
	X(stuck, "stuck in the kernel, or starved", "")         \
	X(died, "a thread of the library was killed", "thread") \
	X(pager, "waiting for a pager of the program", "")

enum vvm_stat_stall {
	VVM_STAT_STALL_none,
#define X(name, what, unit) VVM_STAT_STALL_##name,
	VVM_STAT_STALLS(X)
#undef X
		VVM_STAT_STALL_COUNT
};

/*
 * In a segment the arrays have the lengths that the header tells, so that
 * latency begins at counter[counter_count], stage at latency[bucket_count];
 * stages lie behind each other, of stage_bucket_count words each. What is
 * behind them is there if item_bytes says so, and 0 if the writer does not know
 * it.
 */
struct vvm_stat_actor {
	uint64_t role; /* enum vvm_stat_role */
	uint64_t tid;
	uint64_t events; /* events ever put into the ring */
	int64_t counter[VVM_STAT_COUNTER_COUNT];
	uint64_t latency[VVM_STAT_BUCKETS];
	uint64_t stage[VVM_STAT_STAGE_COUNT][VVM_STAT_STAGE_BUCKETS];
	uint64_t stall; /* enum vvm_stat_stall: going on now */
	uint64_t stall_since_unix_us;
	uint64_t stall_arg; /* what its unit says */
} __attribute__((aligned(64)));

/* ---- rings of events ------------------------------------------------ */

/* How a fault ended: the same names as the counters. */
#define VVM_STAT_KINDS(X)                                                    \
	X(zero, "first touch, filled with zeros")                            \
	X(swapin, "read from swap")                                          \
	X(wp, "first write to a clean page")                                 \
	X(joined, "the page was already on its way")                         \
	X(spurious, "resolved before it was read, or outside of any region") \
	X(failed, "ended in SIGBUS")

enum vvm_stat_kind {
#define X(name, help) VVM_STAT_KIND_##name,
	VVM_STAT_KINDS(X)
#undef X
		VVM_STAT_KIND_COUNT
};

#define VVM_STAT_EVENTS 1024 /* to a ring, a power of two */

/* Flags of an event, in the low bits of its page. */
#define VVM_STAT_EVENT_KIND    15u /* mask: enum vvm_stat_kind */
#define VVM_STAT_EVENT_WRITE   16u
#define VVM_STAT_EVENT_STALLED 32u /* it had to wait for a free frame */
#define VVM_STAT_EVENT_WAITED  64u /* for that, a read, or the kernel */

/*
 * Event number n of an actor is in item n % VVM_STAT_EVENTS of its ring, and
 * is complete when seq is vvm_stat_event_seq() of n and the words read. Any
 * other seq: it is being written, or was overwritten. A ring with several
 * writers (inline mode, api) may miss an event for good.
 */
struct vvm_stat_event {
	uint64_t seq;
	uint64_t time_ns; /* when it ended */
	uint64_t page;	  /* guest address, with flags in the low 12 bits */
	uint64_t took;	  /* low 24 bits: thread id; above: latency in ns */
};

#define VVM_STAT_EVENT_TID_BITS 24

struct vvm_stat_ring {
	struct vvm_stat_event event[VVM_STAT_EVENTS];
};

static inline uint64_t vvm_stat_event_seq(uint64_t n, uint64_t time_ns,
					  uint64_t page, uint64_t took)
{
	uint64_t mix = (time_ns ^ page ^ (took << 1)) * 0x9e3779b97f4a7c15ull;

	return (n + 1) << 16 | mix >> 48; /* never 0 */
}

/* ---- regions -------------------------------------------------------- */

#define VVM_STAT_REGIONS_MAX 65536

/*
 * One region. While seq is odd, or differs before and after reading, the
 * fields up to `name` do not belong together. start == end: a free item.
 */
struct vvm_stat_region {
	uint64_t seq;
	uint64_t start, end; /* guest addresses */
	uint64_t host;	     /* host address of start */
	uint64_t prot;	     /* VVM_READ, VVM_WRITE, VVM_EXEC of vvm.h */
	uint64_t advice;     /* VVM_ADV_NORMAL, RANDOM, SEQUENTIAL */
	uint64_t mapping;    /* number of the vvm_map() that made it */
	uint64_t reserved;
	char name[32]; /* NUL-terminated */
	/* fault events; together with the value faults_elsewhere: `faults` */
	uint64_t faults_zero, faults_swapin, faults_wp, faults_other;
} __attribute__((aligned(64)));

/* ---- blocks --------------------------------------------------------- */

#define VVM_STAT_BLOCK_PAGES 512
#define VVM_STAT_BLOCKS_MAX  (1ull << 22)
#define VVM_STAT_PAGE_BYTES  4096

/* The state of a page, in the low three bits of its byte. */
enum vvm_stat_page {
	VVM_STAT_PAGE_NONE,	/* no region here */
	VVM_STAT_PAGE_FRESH,	/* never written: reads as zeros */
	VVM_STAT_PAGE_SWAPPED,	/* in swap only */
	VVM_STAT_PAGE_FILLING,	/* on its way from swap */
	VVM_STAT_PAGE_CLEAN,	/* resident, can go without a write */
	VVM_STAT_PAGE_DIRTY,	/* resident, the only copy */
	VVM_STAT_PAGE_WRITING,	/* resident, being written to swap */
	VVM_STAT_PAGE_POISONED, /* its content is lost */
};

#define VVM_STAT_PAGE_STATE  7u
#define VVM_STAT_PAGE_PINNED 8u
#define VVM_STAT_PAGE_AHEAD  16u /* read ahead, and not seen used since */
#define VVM_STAT_PAGE_SLOT   32u /* resident, and has a copy in swap */
/* Resident pages: 3 used most recently .. 0 next to go. */
#define VVM_STAT_PAGE_HEAT(byte) ((unsigned)(byte) >> 6)

/* Numbers of pages in the word `pages` of a block, 16 bits each. */
#define VVM_STAT_BLOCK_MAPPED(w)   ((unsigned)(w)&0xffff)
#define VVM_STAT_BLOCK_RESIDENT(w) ((unsigned)((w) >> 16) & 0xffff)
#define VVM_STAT_BLOCK_DIRTY(w)	   ((unsigned)((w) >> 32) & 0xffff)
#define VVM_STAT_BLOCK_SWAPPED(w)  ((unsigned)((w) >> 48) & 0xffff)

struct vvm_stat_block {
	uint64_t base;	  /* guest address of page 0, + 1; 0: a free item */
	uint64_t pages;	  /* see above */
	uint64_t faults;  /* that met the block since it has a base */
	uint64_t last_us; /* when the last of them was taken on */
	uint64_t reserved[4];
	uint8_t page[VVM_STAT_BLOCK_PAGES];
} __attribute__((aligned(64)));

/* ---- sites ---------------------------------------------------------- */

#define VVM_STAT_SITES 1024

/*
 * Code that waited: faults of inline and guard mode by the instruction that had
 * them; in every mode a trapped system call by its own, other calls of the
 * library together. (Whose faults handler threads resolve, the library does not
 * know.) Items may have the same ip: their sum counts. Words that are read while
 * ip changes do not belong together. The table's last item has what sites
 * counted that had to make room.
 */
struct vvm_stat_site {
	uint64_t ip; /* host address, or one of those below */
	uint64_t faults;
	uint64_t stalls; /* of these: waited for a free frame */
	uint64_t wait_ns;
	uint64_t reserved[4];
} __attribute__((aligned(64)));

enum {
	VVM_STAT_SITE_NONE,   /* a free item */
	VVM_STAT_SITE_OTHERS, /* the table's last */
	VVM_STAT_SITE_CALLS,  /* calls of the library */
	VVM_STAT_SITE_MOVING, /* the item is just being used anew */
	VVM_STAT_SITE_CODE    /* from here on: an address */
};

/* ---- the segment ---------------------------------------------------- */

struct vvm_stat_table {
	uint64_t offset;     /* in the file */
	uint64_t item_bytes; /* distance of two items; a multiple of 64 */
	uint64_t count;	     /* items that exist; only grows */
	uint64_t max;	     /* items that there is space for */
};

struct vvm_stat_segment {
	uint64_t magic;
	uint32_t version;
	uint32_t header_bytes; /* up to the first actor */
	uint64_t pid;
	uint64_t pid_start;	 /* field 22 of /proc/PID/stat; 0: unknown */
	uint64_t opened_unix_us; /* CLOCK_REALTIME of vvm_open() */
	uint64_t closed;	 /* 1: the space was closed */
	char command[64];	 /* NUL-terminated, as in /proc/PID/comm */
	char library_version[32];

	uint64_t file_bytes; /* the length of the file, mostly holes */
	uint32_t counter_count, value_count;
	uint32_t bucket_count, stage_count;
	uint32_t stage_bucket_count, kind_count;
	struct vvm_stat_table actors, rings, regions, blocks;
	struct {
#define X(name, help) uint64_t name;
		VVM_STAT_VALUES(X)
#undef X
	} value;
	/*
	 * Behind the values, of which there may be more in time: there if
	 * header_bytes says so, and 0 if the writer does not know it.
	 */
	struct vvm_stat_table sites;
	struct vvm_stat_actor actor[VVM_STAT_ACTORS];
};

/* Where the parts are that do not lie in struct vvm_stat_segment. */
#define VVM_STAT_PAGE_UP(bytes) (((uint64_t)(bytes) + 4095) & ~4095ull)
#define VVM_STAT_RINGS_OFFSET	VVM_STAT_PAGE_UP(sizeof(struct vvm_stat_segment))
#define VVM_STAT_REGIONS_OFFSET \
	(VVM_STAT_RINGS_OFFSET + VVM_STAT_ACTORS * sizeof(struct vvm_stat_ring))
#define VVM_STAT_BLOCKS_OFFSET     \
	(VVM_STAT_REGIONS_OFFSET + \
	 VVM_STAT_REGIONS_MAX * sizeof(struct vvm_stat_region))
#define VVM_STAT_SITES_OFFSET                     \
	VVM_STAT_PAGE_UP(VVM_STAT_BLOCKS_OFFSET + \
			 VVM_STAT_BLOCKS_MAX * sizeof(struct vvm_stat_block))
#define VVM_STAT_FILE_BYTES                      \
	VVM_STAT_PAGE_UP(VVM_STAT_SITES_OFFSET + \
			 (VVM_STAT_SITES + 1) * sizeof(struct vvm_stat_site))

#endif
