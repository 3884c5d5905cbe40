/* SPDX-License-Identifier: MIT */
/*
 * os/os.h - the kernel, behind one door.
 *
 * Every memory, file, userfaultfd and thread call of the library is here
 * (io_uring is in os/ring.c), so that there is one place to read about kernel
 * versions and one place to break things on purpose. The functions are thin:
 * one system call, EINTR retried, the result as 0 or -errno unless they say
 * otherwise. What is more than that is there because some kernel or file
 * system needs it, and says which. They are async-signal-safe except where
 * noted.
 *
 * (1) Nothing here allocates with malloc except where noted, and nothing takes
 *     a lock. Nothing that is used after vvm_open() is a cancellation point:
 *     these calls are made in SIGBUS handlers and in the middle of changes to
 *     a space, where no thread may end. Where the C library's function is a
 *     cancellation point (reads, writes, fallocate(2), polls, sleeps) it is
 *     syscall(2) that makes the call.
 * (2) Buffers on the stack stay under 4 KiB: these functions are called on
 *     handler stacks and on the application's signal stacks. os_open() with
 *     OS_OPEN_TMP is the exception (a path), and runs at open time only.
 *
 * Fault injection: each function that can fail is an injection point of the
 * table below. os_inject() arms one: its nth use from now (1 = the next)
 * fails with the given error, once or for ever. Costs one relaxed load when
 * nothing is armed. VVM_INJECT in the environment ("pwrite:3:EIO",
 * "pread:10+:EIO", comma separated; + means for ever) arms them as
 * the last step of vvm_open(), through secure_getenv(); those that have a @
 * before the name ("@memfd:1:EMFILE") as the first.
 */
#ifndef VVM_OS_H
#define VVM_OS_H

#include <pthread.h>
#include <signal.h>
#include <sys/types.h>
#include <sys/uio.h>
#include "base.h"

/* X(name): the injection points. */
#define OS_POINTS(X)     \
	X(memfd)         \
	X(reserve)       \
	X(map)           \
	X(unmap)         \
	X(unlock)        \
	X(protect)       \
	X(advise)        \
	X(guard_install) \
	X(guard_remove)  \
	X(punch)         \
	X(frame_read)    \
	X(frame_write)   \
	X(truncate)      \
	X(pagemap)       \
	X(uffd_open)     \
	X(uffd_register) \
	X(uffd_copy)     \
	X(uffd_zero)     \
	X(uffd_wp)       \
	X(uffd_wake)     \
	X(uffd_poison)   \
	X(uffd_read)     \
	X(open)          \
	X(pread)         \
	X(pwrite)        \
	X(fdatasync)     \
	X(fallocate)     \
	X(eventfd)       \
	X(thread)        \
	X(create)        \
	X(claim)         \
	X(read_text)     \
	X(ring_setup)    \
	X(pipe)          \
	X(epoll)         \
	X(peek)          \
	X(epoll_add)     \
	X(poll)          \
	X(futex)         \
	X(sigqueue)      \
	X(ring_enable)   \
	X(ring_enter)    \
	X(lock_file)     \
	X(fd_info)       \
	X(file_info)     \
	X(free_space)    \
	X(claimed)       \
	X(open_own)      \
	X(list_dir)      \
	X(unlink)        \
	X(thread_fd)     \
	X(door)          \
	X(filter)

enum os_point {
#define X(name) OS_##name,
	OS_POINTS(X)
#undef X
		OS_POINT_COUNT
};

/* Arms a point; error 0 disarms it. nth counts from 1. Thread-safe. */
void os_inject(enum os_point point, uint64_t nth, bool forever, int error);
/* The same for `count` uses in a row, from 1 to 14. */
void os_inject_some(enum os_point point, uint64_t nth, unsigned count,
		    int error);
void os_inject_clear(void);
/* How often the point was used since os_inject_clear(). */
uint64_t os_inject_uses(enum os_point point);
/*
 * Parses VVM_INJECT's syntax, and arms what has a @ (early), or what has none;
 * -EINVAL and nothing armed when any of it is wrong.
 */
int os_inject_parse(const char *spec, bool early);
/* For os/ring.c: 0, or the -errno that this use of the point must return. */
int os_inject_check(enum os_point point);

/* ---- host memory ---- */

enum os_prot { OS_READ = 1, OS_WRITE = 2, OS_EXEC = 4 };

enum os_advice {
	OS_ADV_DONTNEED, /* drop the mapping of a shared range, not its pages;
			    * locked or not */
	OS_ADV_DONTFORK,
	OS_ADV_DONTDUMP,
	OS_ADV_NOHUGEPAGE, /* -EINVAL from a kernel without THP is reported 0, */
	OS_ADV_HUGEPAGE,   /* for both */
};

/* A memfd, close-on-exec, sized by os_truncate(). */
int os_memfd(const char *name, int *fd);
/*
 * Cuts a memfd to nothing for good: every access to a mapping of it is SIGBUS
 * from now on, also where a userfaultfd would be asked, and no write makes it
 * longer. Whoever waits on the userfaultfd already is to be woken.
 */
int os_memfd_end(int fd);
/*
 * Reserves address space: PROT_NONE, private, no swap accounting. The result
 * is congruent to `congruent` modulo `align` (a power of two >= a page).
 * hint != 0: exactly there, -EEXIST if anything is mapped in the range.
 */
int os_reserve(uint64_t bytes, uint64_t align, uint64_t congruent, haddr_t hint,
	       haddr_t *out);
/* Maps fd at a reserved address (MAP_FIXED, MAP_SHARED, prot of os_prot). */
int os_map_fixed(haddr_t at, uint64_t bytes, unsigned prot, int fd,
		 uint64_t off);
/* Undoes mlockall(2)'s MCL_FUTURE for a range. */
int os_unlock(haddr_t at, uint64_t bytes);
/* Puts a PROT_NONE reservation over whatever is mapped there. */
int os_unmap_keep(haddr_t at, uint64_t bytes);
/*
 * Library memory: anonymous, readable, writable, zeroed; not accounted, so
 * that tables may be mapped for their largest size and touched as they fill;
 * nor filled by mlockall(2)'s MCL_FUTURE.
 */
int os_map_anon(uint64_t bytes, void **out);
/* The same, shared with the children that are forked from now on. */
int os_map_shared(uint64_t bytes, void **out);
int os_unmap(haddr_t at, uint64_t bytes);
/* Is there no hole in the range? */
bool os_all_mapped(haddr_t at, uint64_t bytes);
/*
 * Does the kernel refuse to execute what is there? False where it does not say
 * (before Linux 6.11, and without /proc).
 */
bool os_forbids_exec(haddr_t at);
int os_protect(haddr_t at, uint64_t bytes, unsigned prot);
int os_advise(haddr_t at, uint64_t bytes, enum os_advice advice);
/*
 * Guard markers (Linux 6.13, of a memfd 6.15): a page that has one raises
 * SIGSEGV, whatever is behind it, and a system call on it fails with EFAULT.
 * Installing takes away what is mapped; afterwards nobody has access any more.
 * On an error part of it may be done. -EINVAL: the range is locked, or the kernel
 * has no such thing. Never on pages that a userfaultfd has protected: on
 * 6.18 the call does not return.
 */
int os_guard_install(haddr_t at, uint64_t bytes);
/* All or nothing. */
int os_guard_remove(haddr_t at, uint64_t bytes);
/* Are there guard markers, of a memfd? 0, -ENOSYS, or what stood in the way. */
int os_guard_probe(void);
/*
 * Maps a page, for writing or reading, as an access would. 0; -EFAULT: it has a
 * marker; -EINVAL: that is not permitted; -ENOMEM: there is no mapping, or no
 * memory.
 */
int os_populate(haddr_t at, bool write);
/* Copies frames, whole pages, out of and into a memfd. */
int os_frame_read(int fd, void *buf, uint64_t bytes, uint64_t off);
int os_frame_write(int fd, const void *buf, uint64_t bytes, uint64_t off);
/*
 * The same above RLIMIT_FSIZE, where os_frame_write() is -EFBIG. A frame is there
 * before its bytes are: only for pages that nobody can touch yet.
 */
int os_frame_write_mapped(int fd, const void *buf, uint64_t bytes,
			  uint64_t off);
/* Frees the pages of a file range (hole punch, size kept). */
int os_punch(int fd, uint64_t off, uint64_t bytes);
int os_truncate(int fd, uint64_t bytes);
/* Bytes of storage allocated to fd (st_blocks). */
int os_allocated(int fd, uint64_t *bytes);

/*
 * Which pages of [at, at + pages) are mapped (PTE present) in this process?
 * Sets bit i of `bits` (64-bit words, ceil(pages / 64) of them, cleared
 * first) for page i. PAGEMAP_SCAN where the kernel has it (6.7), else reads
 * pagemap_fd; *method (may be NULL) says which.
 */
enum os_pagemap_method { OS_PAGEMAP_SCAN, OS_PAGEMAP_READ };
int os_pagemap_open(int *fd);
int os_pagemap_present(int pagemap_fd, haddr_t at, unsigned pages,
		       uint64_t *bits, enum os_pagemap_method *method);

/* ---- userfaultfd ---- */

/* How the descriptor was got, in the order tried. */
enum os_uffd_method {
	OS_UFFD_SYSCALL,
	OS_UFFD_DEV,
	OS_UFFD_USER_ONLY, /* system calls on absent pages fail with EFAULT */
};

/* What os_uffd_probe reports, decided at run time. */
enum os_uffd_feature {
	OS_UFFD_SHMEM = 1 << 0,	    /* MISSING on shmem (4.11) */
	OS_UFFD_WP_SHMEM = 1 << 1,  /* WP on shmem (5.19) */
	OS_UFFD_THREAD_ID = 1 << 2, /* 4.14 */
	OS_UFFD_EXACT = 1 << 3,	    /* exact fault address (5.18) */
	OS_UFFD_SIGBUS = 1 << 4,    /* 4.14 */
	OS_UFFD_POISON = 1 << 5,    /* UFFDIO_POISON (6.6) */
	OS_UFFD_MOVE = 1 << 6,	    /* 6.8 */
};

/* Opens a throw-away descriptor and lists features and method. */
int os_uffd_probe(unsigned *features, enum os_uffd_method *method);
/*
 * A non-blocking, close-on-exec userfaultfd after UFFDIO_API with the given
 * features (those of `want` that the kernel lacks are left out). Falls
 * through the methods on EPERM, EACCES, ENOENT, ENOSYS. -EPERM: not
 * permitted by any; -ENOSYS: the kernel has none.
 */
int os_uffd_open(unsigned want, int *fd, enum os_uffd_method *method);
/* Registers MISSING | WP. */
int os_uffd_register(int fd, haddr_t at, uint64_t bytes);

enum os_uffd_mode { OS_UFFD_PROTECTED = 1, OS_UFFD_NOWAKE = 2 };
/*
 * Fills pages and wakes their waiters. *done (never NULL) is what was
 * installed, in bytes, also on error. -EEXIST: the page at *done is there
 * already. -EAGAIN is retried a bounded number of times.
 */
int os_uffd_copy(int fd, haddr_t to, const void *from, uint64_t bytes,
		 unsigned mode, uint64_t *done);
int os_uffd_zero(int fd, haddr_t at, uint64_t bytes, uint64_t *done);
/* Sets or clears write protection; clearing wakes the waiters. */
int os_uffd_wp(int fd, haddr_t at, uint64_t bytes, bool protect);
int os_uffd_wake(int fd, haddr_t at, uint64_t bytes);
/* Whoever touches the page gets SIGBUS. -EOPNOTSUPP before 6.6. */
int os_uffd_poison(int fd, haddr_t at, uint64_t bytes);

struct os_fault {
	haddr_t addr; /* as the CPU saw it, where the kernel is exact */
	bool write;
	bool protect; /* a write to a protected page, not a missing one */
	int tid;      /* faulting thread, 0 if the kernel does not say */
};
/* Reads up to max events. Returns their number, 0 when none waits, -errno. */
int os_uffd_read(int fd, struct os_fault *faults, unsigned max);

/* ---- files ---- */

enum os_open_flags {
	OS_OPEN_DIRECT = 1,
	OS_OPEN_CREATE = 2,
	OS_OPEN_TMP = 4,
	/*
	 * Block devices: -EBUSY while mounted or swapped to. With CREATE: -EEXIST
	 * when there is a file.
	 */
	OS_OPEN_EXCL = 8,
	OS_OPEN_NOFOLLOW = 16, /* -ELOOP: it is a symbolic link */
};
/*
 * Opens read-write, close-on-exec, mode 0600, never following a final
 * symbolic link when it creates. OS_OPEN_TMP: path is a directory, the file
 * is unlinked (O_TMPFILE, or mkostemp + unlink where that is refused).
 */
int os_open(const char *path, unsigned flags, int *fd);
int os_close(int fd);
/* How many descriptors the process may have (RLIMIT_NOFILE). */
uint64_t os_descriptors_max(void);
/* Locks the file against every other descriptor of it; -EBUSY: it is. */
int os_lock_file(int fd);
/*
 * Waits until one of up to 64 descriptors is readable, or failed; timeout_us
 * 0: only looks, < 0: no limit. Bit i of *ready for fds[i], and of *invalid
 * too when it cannot be polled. After a timeout both are 0.
 */
int os_poll(const int *fds, unsigned count, int64_t timeout_us, uint64_t *ready,
	    uint64_t *invalid);
/* Turns O_DIRECT on or off. */
int os_set_direct(int fd, bool on);
/* Whole transfers: a short one is continued; end of file reads -EIO. */
int os_pread(int fd, void *buf, uint64_t bytes, uint64_t off);
int os_pwrite(int fd, const void *buf, uint64_t bytes, uint64_t off);
int os_fallocate(int fd, uint64_t off, uint64_t bytes);

enum os_file_type { OS_FILE_REG, OS_FILE_DIR, OS_FILE_BLOCK, OS_FILE_OTHER };
struct os_file {
	enum os_file_type type;
	uint64_t bytes; /* of a file or block device */
	unsigned owner, mode, links;
};
/*
 * Descriptors of a file, and which it is, so that a fork child can tell whether it
 * has them or has got something else of their numbers.
 */
struct os_held {
	int fd, second; /* -1: only one */
	uint64_t device, inode;
};
int os_hold(int fd, struct os_held *held);
/* Closes them, if they are still that. */
void os_close_held(const struct os_held *held);
/*
 * A regular file that somebody has opened: once more, for reading (write: and
 * writing) and close-on-exec, with flags of its own. Where it cannot be opened
 * anew *own is false, and it is a duplicate. -EBADF, -EACCES: it is not for
 * that, or a duplicate would write to its end only (O_APPEND) or whole blocks only
 * (O_DIRECT); -ENODEV: no regular file; -EMFILE, -ENFILE, -ENOMEM.
 */
int os_reopen(int fd, bool write, int *out, bool *own);
/* May fd be read from, and written to? -EBADF, -EACCES, -ENODEV as above. */
int os_may_map(int fd, bool write);
/*
 * As os_pwrite(), but for a thread of the program's: above RLIMIT_FSIZE it is
 * -EFBIG, and no SIGXFSZ. shared: fd is the program's, too, and -EACCES if what
 * is written would go to the end of the file now (O_APPEND).
 */
int os_pwrite_own(int fd, const void *buf, uint64_t bytes, uint64_t off,
		  bool shared);
/* What was written to the file is on the disk, with what is needed to read it. */
int os_fdatasync(int fd);
/* As os_pread(), but only up to the end of the file: *got bytes. */
int os_pread_some(int fd, void *buf, uint64_t bytes, uint64_t off,
		  uint64_t *got);
/* Reads of this description bring what they ask for, and nothing more. */
void os_no_readahead(int fd);
/* The page cache forgets these bytes, as far as they are not in use. */
void os_uncache(int fd, uint64_t off, uint64_t bytes);
/* Name of the file, without directories, as far as it fits; "": unknown. */
void os_file_name(int fd, char *name, size_t size);
int os_fd_info(int fd, struct os_file *file);
/* Type by path; size of a file or block device. -ENOENT ... as stat(2). */
int os_file_info(const char *path, enum os_file_type *type, uint64_t *bytes);
/* Is the file system that holds fd memory (tmpfs)? */
bool os_in_memory(int fd);
/* Free bytes for this user in the file system that holds fd. */
int os_free_space(int fd, uint64_t *bytes);

/* ---- processes, threads, time ---- */

/*
 * Forks (fork(2), not vfork or a bare clone) between this process and the
 * one that called os_fork_watch(); 0 there. Who remembers it can tell what
 * it inherited from what it made itself.
 */
unsigned os_fork_count(void);
/* Installs the watch (idempotent). Not async-signal-safe. */
int os_fork_watch(void);

/*
 * Makes glibc's fork() call these. prepare() runs in the parent before the
 * fork, after the handlers of all that were registered later; parent() and
 * child() run after it, before the handlers of those. Not async-signal-safe;
 * for a constructor.
 */
int os_fork_handlers(void (*prepare)(void), void (*parent)(void),
		     void (*child)(void));
/*
 * Takes and drops glibc's lock of its list of streams, where there is one.
 * fork() takes it after the handlers.
 */
void os_streams_lock(void);
void os_streams_unlock(void);

/*
 * A pipe, both ends close-on-exec: fd[0] reads end of file when no process
 * has fd[1] any more.
 */
int os_pipe(int fd[2]);
/* A descriptor that is readable while any of those added to it is. */
int os_epoll(int *fd);
int os_epoll_add(int epoll, int fd);
void os_epoll_remove(int epoll, int fd);

int os_eventfd(int *fd);
void os_eventfd_signal(int fd);
void os_eventfd_drain(int fd);

/* Waits while *word == value. 0, -EAGAIN (changed), -ETIMEDOUT, -EINTR. */
int os_futex_wait(const _Atomic uint32_t *word, uint32_t value,
		  int64_t timeout_us);
void os_futex_wake(_Atomic uint32_t *word, int count);

/*
 * Starts a joinable thread with every signal blocked but the synchronous
 * ones (SIGSYS only once there is a door), a small stack that is not paged
 * memory, and a name of <= 15 bytes.
 * Returns when it has begun. Not async-signal-safe.
 */
int os_thread_start(pthread_t *thread, const char *name, void *(*run)(void *),
		    void *arg);
/* The same with a stack for code of the program: 1 MiB. */
int os_thread_start_large(pthread_t *thread, const char *name,
			  void *(*run)(void *), void *arg);
/* Has the calling thread been started so? */
bool os_thread_is_own(void);
/*
 * Keeps the calling thread from being cancelled in what it does until
 * os_cancel_restore() of the result.
 */
int os_cancel_off(void);
void os_cancel_restore(int state);
/*
 * What a thread does that sleeps, of this process or of one that may be looked
 * at. -EAGAIN: it runs, or is about to; -ESRCH: it is gone; -EACCES, -EPERM: it
 * may not be looked at; or as open(2).
 */
struct os_call {
	long nr;	   /* of its system call; -1: it is in none */
	bool writes_later; /* to pages that it has taken: process_vm_writev(2) */
	uint64_t arg[6];
};
int os_thread_call(int tid, struct os_call *call);
/* CPU time of a thread of this process. -EINVAL: it is none. */
int os_thread_cpu_us(int tid, uint64_t *us);
/*
 * Copies memory of the process that the thread is of. -EFAULT: not all of it is
 * there; -EPERM, -ESRCH. => it is not paged by us.
 */
int os_peek(int tid, haddr_t from, void *to, size_t bytes);
/*
 * Runs run(arg) on that stack, with signals blocked as by os_signals_block(),
 * and comes back. What the kernel is given lies on that stack, too.
 */
void os_run_on(void *stack, uint64_t bytes, void (*run)(void *), void *arg);
int os_tid(void);
/*
 * A descriptor that is readable once the calling thread has ended. -EINVAL,
 * -ENOSYS: not before Linux 6.9.
 */
int os_thread_fd(int *fd);
/* Has a thread of this process ended? */
bool os_thread_gone(int tid);
int os_pid(void);
/* Does valgrind run this process, one thread at a time? */
bool os_on_valgrind(void);
unsigned os_user(void);	     /* the effective user */
unsigned os_cpus(void);	     /* CPUs this process may run on */
uint64_t os_page_size(void); /* of the kernel */
uint64_t os_now_us(void);    /* CLOCK_MONOTONIC */
uint64_t os_now_ns(void);
void os_sleep_us(uint64_t us);
void os_yield(void);
/*
 * Queues SIGBUS with si_addr to one thread of this process. si_code is
 * BUS_ADRERR for the calling thread, but SI_QUEUE for any other: the kernel
 * allows no more. -ESRCH: no such thread.
 */
int os_sigbus_thread(int tid, haddr_t addr);
/*
 * Installs a handler that runs on the alternate stack, if there is one, with
 * all signals blocked but the synchronous ones. *old (never NULL) is what was
 * there.
 */
int os_signal(int sig, void (*handler)(int, siginfo_t *, void *),
	      struct sigaction *old);
/*
 * Blocks every signal of the calling thread but the synchronous ones, that of
 * pthread_cancel() included. Returns the mask before, for os_signals_restore().
 * Two system calls, 0.1 us each.
 */
uint64_t os_signals_block(void);
void os_signals_restore(uint64_t mask);
/* Lets one signal through, until the mask is set again. */
void os_signal_let(int sig);
/* Gives the thread the signal mask that a handler's context came with. */
void os_signal_unblock(const sigset_t *mask);
/* Puts a handler back. */
void os_signal_restore(int sig, const struct sigaction *old);
/* Has the signal a handler: neither the default action nor "ignore"? */
bool os_signal_handled(int sig);
/*
 * Sends a signal that this thread has got to the process once more: one of kill(2)
 * as our own, since only a main thread may say that it is another's.
 */
void os_signal_repeat(int sig, siginfo_t *si);
/* Puts the default action back, and sends the signal if asked. */
void os_signal_default(int sig, bool send);

/* ---- system calls of the program's: lib/door ---- */

/*
 * Where memory lies whose system calls are to be trapped: 16 TiB that neither
 * the kernel nor the address sanitizer uses. (Where the stack is unlimited
 * the kernel maps from a third of the address space upwards, 0x2aaa_aaaa_b000,
 * and programs without fixed address from two thirds.) A pointer into it is
 * known by (upper half & OS_DOOR_MASK) == OS_DOOR_START >> 32.
 */
#define OS_DOOR_START UINT64_C(0x400000000000)
#define OS_DOOR_END   UINT64_C(0x500000000000)
#define OS_DOOR_MASK  UINT32_C(0xfffff000)

/*
 * A system call as it is, and its result or -errno. The filter lets it pass, also
 * with pointers into that range.
 */
long os_call(long nr, const uint64_t a[6]);
/* One that the filter would refuse whatever its arguments. */
long os_call_unfiltered(long nr, const uint64_t a[6]);
/*
 * One that the program has not asked for. Its own filters are not to see that: in
 * vvmrun it goes through the gate. => no pointer into the range
 */
long os_call_own(long nr, const uint64_t a[6]);
/* One as the program makes it, for the filter to see. */
long os_call_filtered(long nr, const uint64_t a[6]);
/*
 * Maps the instruction that these come from; once. *found: another copy of the
 * library has done it. -EEXIST: something else is there; -ENOTSUP: nothing may be
 * executed there, or not on this machine.
 */
int os_door_open(bool *found);
bool os_door_is_open(void);
/*
 * Puts a filter on all threads, and gives up new privileges. -EBUSY: a thread
 * has a filter that the others have not; -EINVAL, -ENOMEM; -EACCES, -EPERM.
 */
struct sock_filter;
int os_filter_install(const struct sock_filter *text, unsigned count);
/*
 * May the kernel read, or write, the bytes around that address? 0.1 us, and no
 * signal whatever it is.
 */
bool os_readable(haddr_t at);
bool os_writable(haddr_t at);

/* ---- statistics segment and settings; not async-signal-safe ---- */

/*
 * Makes a new file: read-write, close-on-exec, mode 0600 whatever the umask
 * lets through, never an existing one or through a symbolic link: -EEXIST.
 */
int os_create(const char *path, int *fd);
/*
 * Opens a regular file of this user for reading. Does not follow a final
 * symbolic link (-ELOOP) and never blocks on a fifo; -EPERM: it is another
 * user's, or no regular file.
 */
int os_open_own(const char *path, int *fd);
/*
 * Claims a file until this descriptor and its copies in fork children are
 * closed; exec and death close them. -EBUSY: it is claimed already.
 */
int os_claim_file(int fd);
/* Has anybody claimed it? Needs no right to write. */
int os_file_claimed(int fd, bool *claimed);
int os_unlink(const char *path);
/* Calls each() with every name in the directory. */
int os_list_dir(const char *path, void (*each)(const char *name, void *arg),
		void *arg);
/* The start of a small (/proc) file, NUL-terminated, at most size - 1 bytes. */
int os_read_text(const char *path, char *buf, size_t size);
uint64_t os_random(void);    /* that nobody can guess */
uint64_t os_ram_bytes(void); /* that this process may use: os/memcg.h */
/*
 * What may be mapped privately and writable, where the kernel accounts that
 * strictly (vm.overcommit_memory=2), by all processes; else UINT64_MAX.
 */
uint64_t os_commit_bytes(void);
uint64_t os_unix_us(void); /* CLOCK_REALTIME */

#endif
