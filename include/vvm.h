/* SPDX-License-Identifier: MIT */
/*
 * vvm.h - libvvm: virtual memory for one process, in user space.
 *
 * This header is the manual.
 *
 * A *space* is a 48-bit guest address space. Map *regions* in it and use them
 * through ordinary pointers. At most a fixed budget of pages is resident; the
 * rest lives in a swap file. A hit costs nothing: the MMU serves it. A miss
 * is resolved by the library while the touching thread waits.
 *
 *	struct vvm *vm;
 *	uint64_t addr = VVM_ANYWHERE;
 *	if (vvm_open(&vm, NULL) == 0 &&
 *	    vvm_map(vm, &addr, 8ull << 30, VVM_READ | VVM_WRITE, NULL) == 0) {
 *		char *p = vvm_ptr(vm, addr);
 *		p[5ull << 30] = 1;
 *	}
 *	vvm_close(vm);
 *
 * Addresses and sizes
 *   Guest addresses run from 0 to 2^48 - 1. Unless you place a region
 *   yourself its guest address *is* its host address, and vvm_ptr() is a
 *   cast. Lengths are in bytes. Calls that work on ranges want addr to be a
 *   multiple of VVM_PAGE_SIZE and round len up to one; len 0 is -EINVAL.
 *
 * Errors
 *   Functions return 0 (or a count) or a negative error: -errno, or one of
 *   the VVM_E* refusals below. Each function lists all it can return; after
 *   an error nothing has changed unless it says so. vvm_strerror() explains
 *   all of them. Every function returns -EINVAL for a NULL that is not
 *   allowed, -ECHILD in a child made by fork(), -EDEADLK in a callback of a
 *   pager of the space (struct vvm_pager), and, but for vvm_close(),
 *   -EOWNERDEAD when a thread of the library was killed: see below.
 *
 * Threads
 *   All functions may be called from any thread at any time, except that
 *   vvm_close() must be the last call on its space. None may be called from
 *   a signal handler other than a callback installed here. No function and no
 *   access is a cancellation point (pthread_cancel()).
 *   A signal handler may touch guest memory whatever it interrupts: functions
 *   of the library, and fork(), hold all signals back but the synchronous ones.
 *
 * What a failed access looks like
 *   A plain pointer access that the permissions forbid is SIGSEGV; one whose
 *   page could not be read back from swap, or that waited longer than
 *   frame_wait_ms for a free frame (time in which the process was stopped, or
 *   the disk answered nothing, does not count), is SIGBUS; si_addr is the
 *   address. A system call on such memory fails with EFAULT. vvm_on_fault()
 *   lets you see and repair both. vvm_load() and vvm_store() return errors
 *   instead.
 *   After a wait that was too long, accesses to that page fail for some 20 ms
 *   more; then they may wait again.
 *
 * The library's threads
 *   Signals are blocked in them, and they cannot be cancelled; but a seccomp
 *   filter that is put on all threads (SECCOMP_FILTER_FLAG_TSYNC) may kill one.
 *   Then the memory of its space is lost as a whole: whoever touches it or
 *   waits for it gets SIGBUS, vvm_load() and the others return errors, the log
 *   says why, and vvm_close() works. Before Linux 6.9 only a death in the
 *   middle of work is noticed, after 5 seconds. A filter that kills all of them
 *   leaves nobody to do anything.
 *   What makes faults wait for 5 seconds and longer is logged, once each time,
 *   and shown by vvmstat(1): a disk that does not answer, a full swap, a lock.
 *
 * fork()
 *   Guest memory is inherited only by request: see enum vvm_fork. Else a child
 *   that touches it gets SIGSEGV, whatever it has mapped since, and library
 *   calls on the space return -ECHILD there; nothing of the space stays open in
 *   it. fork and exec is fine either way. Children of a bare clone() or _Fork()
 *   run no fork handlers: they must not touch guest memory, and keep the
 *   descriptors until they execute a program.
 *
 * The kernel, devices, other processes
 *   The page behind a guest address changes as it is paged. System calls that
 *   copy from and to memory work as on any (thread mode; else see enum
 *   vvm_syscalls). Memory that is
 *   accessed for longer than the call that names it, or not by a CPU of this
 *   process (O_DIRECT, vmsplice(2), registered io_uring buffers, RDMA), must
 *   be pinned first, vvm_pin(), exactly as with mlock(2).
 *   process_vm_writev(2) takes pages first and writes to them then. In thread
 *   mode that works, by this process and by others that it may look at (as with
 *   ptrace(2)), in calls on at most half of the budget; larger ones may be
 *   short. A thread is noticed when it first has to wait for a page in such a
 *   call, for 5 s. Before that, in inline mode, and with ptrace(2) and
 *   /proc/PID/mem, a write to a page that was resident is lost if its thread is
 *   interrupted in the middle of the call for longer than the page stays: pin
 *   what must not be. The latter two fail (EIO) where a page is not resident.
 *   Robust mutexes: when a thread ends, the kernel tells of those that it held
 *   only where they are pinned. The list of setgroups(3) must be pinned: libc has
 *   all threads make the call, the library's too, for which no page is brought in.
 *   Core dumps leave guest memory out. mlock(2) and mlockall(2) do no harm,
 *   and keep no guest memory resident. A debugger that has stopped the process
 *   cannot read what is absent.
 *   Each open space has descriptors. A process that closes them
 *   (closefrom(3)) loses the memory, and what was absent may read as zeros.
 *
 * Stacks
 *   Coroutines and signal handlers may run on a stack in guest memory, and call
 *   any function there, but for fork(): the child would have no stack. In
 *   inline mode such a thread needs an alternate signal stack that is not guest
 *   memory. The stack of a thread (pthread_attr_setstack()) must be pinned: its
 *   thread-local variables are there, and the kernel's own words.
 *
 * The budget
 *   Resident pages, in flight and read ahead ones included, never exceed it.
 *   The library's own memory is not in it: 13 to 18 bytes for each page ever
 *   touched (page table, swap slots) and buffers of up to 16 MiB. The
 *   smallest budget is one page; an instruction that touches k pages (an
 *   unaligned access, a copy, its own code if that is paged) needs k frames
 *   to make progress, so do not go below 8.
 */
#ifndef VVM_H
#define VVM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VVM_VERSION_MAJOR 0
#define VVM_VERSION_MINOR 1
#define VVM_VERSION_PATCH 0

#define VVM_PAGE_SIZE	 4096
#define VVM_ADDRESS_BITS 48
#define VVM_ANYWHERE	 UINT64_MAX /* vvm_map: choose the address */

/*
 * X(name, value, text): errors that are not errnos, returned negated, by the
 * checked accesses and the functions that say so.
 */
#define VVM_ERRORS(X)                                                          \
	X(VVM_EUNMAPPED, 4001, "no region at this guest address")              \
	X(VVM_ENOREAD, 4002, "page is not readable")                           \
	X(VVM_ENOWRITE, 4003, "page is not writable")                          \
	X(VVM_ENOEXEC, 4004, "page is not executable")                         \
	X(VVM_EPASTEND, 4005, "access runs past the end of the mapped range")  \
	X(VVM_EPOISON, 4006, "content of the page cannot be read, or is lost") \
	X(VVM_ENOFRAME, 4007, "no free frame in time: swap full or all pinned")

enum vvm_error {
#define X(name, value, text) name = value,
	VVM_ERRORS(X)
#undef X
};

/* Text for 0, -errno and -VVM_E*; never NULL, static, thread-safe. */
const char *vvm_strerror(int error);

/* ------------------------------------------------------------------ */
/* Spaces								*/

struct vvm;

/*
 * Who resolves a fault.
 *
 * AUTO (the default): THREAD where a userfaultfd is to be had, by whichever way,
 * else GUARD.
 *
 * THREAD: handler threads. System calls on paged memory work as
 * on any memory; exceptions: see above, "The kernel".
 *
 * INLINE: the faulting thread itself, in a SIGBUS handler. No thread is woken,
 * so a fault costs a fraction, in time and CPU. In return:
 *   - a system call that meets an absent page, or one whose first write it
 *     would be, fails with EFAULT: vvm_touch() or vvm_pin() such buffers, or
 *     see enum vvm_syscalls.
 *   - SIGBUS belongs to the library. Install handlers of your own before the
 *     first vvm_open(): they get every SIGBUS that is not the library's.
 *     SIGBUS must not be blocked in threads that touch guest memory (the
 *     kernel kills a process that faults with it blocked).
 *   - the handler runs on the thread's alternate stack if it has one, and
 *     needs about 4 KiB of stack besides the kernel's signal frame.
 *   - signals are held back while the library resolves a fault, but for the
 *     synchronous ones.
 *   - x86-64 only.
 *
 * GUARD: as INLINE, but without a userfaultfd, hence without any privilege, and
 * where a seccomp filter forbids that (as those of containers do). Linux 6.15,
 * x86-64. What is said of INLINE and SIGBUS holds, and holds for SIGSEGV, too:
 * that is the signal of a fault here, in a handler of the library that is to come
 * first. What is SIGBUS in the other modes (a lost page, no frame) is SIGBUS
 * here: a handler that was installed before is called with that. And
 *   - the kernel does not tell of the first write to a clean page. So
 *     VVM_PAGE_DIRTY and `dirty_pages` say what is known, which may be less;
 *     and whether a page has changed is found out by comparing it (a digest of
 *     128 bits) before it leaves memory. That is 16 bytes more for each page
 *     of blocks of 2 MiB that have pages which were read from swap;
 *   - with VVM_FORK_INHERIT fork() compares all resident pages,
 *     and the parent's first access to each afterwards is a fault, be it a read;
 *   - pages around one that is read, as far as they are resident, count as used;
 *   - memory that the program has locked (mlockall(2)) is unlocked;
 *   - mprotect(2) and munmap(2) on the memory itself are not noticed but by
 *     accesses that fail: use vvm_protect() and vvm_unmap().
 */
enum vvm_faults {
	VVM_FAULTS_AUTO,
	VVM_FAULTS_THREAD,
	VVM_FAULTS_INLINE,
	VVM_FAULTS_GUARD
};

/*
 * What becomes of the memory in a child of fork(2).
 *
 * DIE (the default): it is not there. Who touches it dies of SIGSEGV, vvm_*
 * calls on the space return -ECHILD. A child that executes a program is fine.
 *
 * INHERIT: the child has it as it was at the fork, and both go on
 * independently, with plain accesses and vvm_* calls alike; so have its own
 * children. The child has a budget of the same size, handler threads and a
 * swap file of its own (in the directory of swap_path, if that names a file,
 * in /var/tmp if a device). All that is made when the child first uses the
 * space, so one that executes a program costs little. In return:
 *   - fork() write-protects the dirty pages: each costs the parent an event
 *     when it is next written to (as a copy-on-write fault would), until the
 *     child has executed a program or is gone.
 *   - While the child lives, the slots that it inherited are not used again,
 *     and of dirty pages that the parent has changed since, the old content
 *     is kept in memory, beside the budget. If the parent ends first, without
 *     vvm_close(), all that it had resident stays in memory until the child
 *     has written to, or discarded, each page that was dirty at the fork.
 *   - Pins are not inherited. Pages that are pinned at the fork are copied
 *     while other threads and devices may write to them.
 *   - While fork() runs, faults of other threads wait. Should it not get on
 *     for a second (it may be waiting for a lock of such a thread, in a
 *     handler of pthread_atfork()), they go on, and that child inherits
 *     nothing: it says so on standard error, and dies when it touches the
 *     memory. The same where the kernel's memory or descriptors run out.
 *   - Children of vfork(), posix_spawn() and a bare clone() never inherit.
 */
enum vvm_fork { VVM_FORK_DIE, VVM_FORK_INHERIT };

enum vvm_io { VVM_IO_AUTO, VVM_IO_URING, VVM_IO_SYNC };

/*
 * What becomes of a system call on a page that the kernel cannot bring in: in
 * inline mode all that are absent, and in thread mode too without the privilege
 * to serve the kernel's faults (VVM_PROBE_USER_ONLY).
 *
 * OFF (the default): it fails with EFAULT; vvm_syscall() makes it.
 *
 * TRAP: it works. The first vvm_open() of the process that asks for it installs
 * a seccomp filter, which a process cannot take off again, and a SIGSYS handler.
 * The filter stops system calls that are given a pointer into a part of the
 * address space where spaces opened with TRAP have their regions, and the
 * handler makes them by vvm_syscall(). Others cost about 0.1 us more. In return:
 *   - the process and its children can gain no privileges any more by
 *     set-user-ID programs (no_new_privs, see prctl(2)).
 *   - SIGSYS belongs to the library; a handler that was there before gets those
 *     that are not the library's. It must not be blocked in threads that pass
 *     paged memory to system calls (the kernel kills a process that it traps
 *     then). The handler runs on the thread's alternate stack if it has one,
 *     and takes 4 KiB of it besides the kernel's signal frame.
 *   - a thread that waits in a trapped call can be cancelled (pthread_cancel())
 *     with glibc before 2.41; newer ones cancel it when the call is over.
 *   - robust mutexes, stacks of threads and what rseq(2) is told must be pinned, as
 *     they must without. In a fork child that inherits, a paged signal stack is
 *     not pinned: set it again.
 *   - what the filter cannot see is not trapped: pointers in structures that
 *     are not paged themselves (readv(2), sendmsg(2), execve(2)'s strings,
 *     sigaltstack(2), ...). Call vvm_syscall() there.
 *   - io_uring_setup(2) and io_setup(2) fail with ENOSYS: the kernel would use
 *     paged memory after the call.
 *   - the process must not have mapped anything at 0x4000_0000_0000 to
 *     0x5000_0000_0000. vvm_map_at() elsewhere works, but is not trapped.
 *   - x86-64 only, and not under ThreadSanitizer.
 */
enum vvm_syscalls { VVM_SYSCALLS_OFF, VVM_SYSCALLS_TRAP };

/*
 * Pages that leave their frames are kept in memory, compressed, in a part of
 * the budget that changes with its use, and written to the swap only when that
 * is to shrink. Each has a slot in the swap all the same. AUTO: where libvvm was
 * built with LZ4. Budgets below 2 MiB keep little or nothing.
 */
enum vvm_compress { VVM_COMPRESS_AUTO, VVM_COMPRESS_OFF, VVM_COMPRESS_LZ4 };

/*
 * resident_bytes: the budget follows the machine (VVM_RESIDENT=auto). It grows
 * while pages are waited for and memory is there; it shrinks when the machine or
 * the memory cgroup becomes short of it, and where the program makes do with
 * less. vvm_resize() ends that. vvm(7) says more.
 */
#define VVM_RESIDENT_AUTO UINT64_MAX

/*
 * Settings of a space. Fill it with vvm_options_init() first, change what
 * you need. vvm(7) describes each field, its default, its range and its VVM_*
 * environment variable.
 */
struct vvm_options {
	size_t struct_bytes;	   /* sizeof, set by vvm_options_init() */
	uint64_t resident_bytes;   /* budget, >= one page; or
				    * VVM_RESIDENT_AUTO */
	const char *swap_path;	   /* directory, file or block device;
				    * NULL: VVM_SWAP, or the default */
	uint64_t swap_limit_bytes; /* 0: what the file system has free */
	int swap_reserve;	   /* allocate the limit at open */
	int swap_direct;	   /* O_DIRECT if possible */
	enum vvm_io io;		   /* AUTO: io_uring where permitted */
	enum vvm_faults faults;
	enum vvm_fork fork;
	unsigned handlers;	    /* 0: one for two CPUs, at most 4 */
	unsigned low_pct, high_pct; /* reclaim watermarks, % of the budget */
	uint64_t frame_wait_ms;
	unsigned spin_us; /* a handler that helps another one: 10 times that */
	unsigned pollers; /* inline: reads polled for, at most, if it pays */
	unsigned readahead_max_pages;
	const char *policy; /* NULL: VVM_POLICY, or the default */
	int stat_segment;   /* publish statistics for vvmstat */
	enum vvm_syscalls syscalls;
	enum vvm_compress compress;
	uint64_t resident_min_bytes; /* of an automatic budget; 0: */
	uint64_t resident_max_bytes; /* the library chooses */
};

/*
 * Defaults, overridden by VVM_* in the environment. swap_path and policy
 * point into the environment or to constants. -EINVAL: a variable holds
 * nonsense; options are then the plain defaults, and the variable is named on
 * standard error. -ENOMEM.
 */
int vvm_options_init(struct vvm_options *options);

/*
 * Opens a space and starts its threads. options NULL: vvm_options_init()'s.
 *
 * -EINVAL   an option is out of range; the log says which
 * -EPERM    userfaultfd, or a filter, is not permitted: see vvm_probe() or
 *	     vvmstat --doctor (AUTO: and guard pages are not to be had)
 * -ENOSYS   the kernel lacks a needed feature (userfaultfd with write
 *	     protection of shmem: Linux 5.19; GUARD: 6.15), or io_uring with
 *	     VVM_IO_URING, or there is no /proc
 * -ENOTSUP  the page size is not 4 KiB; swap_path is neither a directory,
 *	     a file nor a block device; VVM_COMPRESS_LZ4 in a libvvm without
 *	     it; VVM_FAULTS_INLINE,
 *	     GUARD or VVM_SYSCALLS_TRAP on a CPU other than x86-64, or the
 *	     latter's addresses are in use
 * -EBUSY    the swap file is in use by another space or process, and was for
 *	     two seconds: so long one may be that was killed just now;
 *	     VVM_SYSCALLS_TRAP: a thread has a filter that others have not
 * -EAGAIN   inline: 64 spaces have faults or callbacks to handle; 64 spaces
 *	     are inherited by children; threads
 * -ENOENT, -EACCES, -ENOTDIR, -ELOOP, -EROFS, -EIO: of swap_path. A file that
 *	     exists must be this user's, with mode 0600 and no other name, and
 *	     no symbolic link (-ELOOP); a device this user's or root's, and not
 *	     open to everybody. The log says which
 * -ENOSPC   swap_reserve, and the file system has not enough
 * -EFBIG    RLIMIT_FSIZE is set: libvvm's files are larger
 * -ENOMEM, -EMFILE, -ENFILE: resources
 */
int vvm_open(struct vvm **out, const struct vvm_options *options);

/*
 * Unmaps every region, as vvm_unmap(), stops the threads, frees the swap. After
 * the death of a thread (see above) nothing is written. Threads that still
 * touch the memory get SIGSEGV, those blocked in a fault included: nothing
 * hangs and nobody reads zeros. Pins are gone. NULL is allowed.
 * -ECHILD and -EDEADLK only.
 */
int vvm_close(struct vvm *vm);

/*
 * Changes the budget while running; returns when it holds. -EINVAL: less
 * than a page; -EBUSY: pinned pages leave no room, or the pages cannot be
 * written (swap full) within frame_wait_ms: then the old budget is restored. Of
 * two threads that resize at once the later one's budget holds. A budget that
 * followed the machine (VVM_RESIDENT_AUTO) is a fixed one after a success.
 */
int vvm_resize(struct vvm *vm, uint64_t resident_bytes);

/* ------------------------------------------------------------------ */
/* Regions								*/

enum vvm_prot {
	VVM_NONE = 0,
	VVM_READ = 1,
	VVM_WRITE = 2, /* implies reading by plain access, as on x86 */
	VVM_EXEC = 4
};

enum vvm_advice {
	VVM_ADV_NORMAL,	    /* detect streams, read ahead */
	VVM_ADV_RANDOM,	    /* never read ahead */
	VVM_ADV_SEQUENTIAL, /* read ahead at once, and far */
	VVM_ADV_WILLNEED,   /* start reading the range now, do not wait; at
			     * most half of the budget, as frames are free */
	VVM_ADV_DONTNEED,   /* content is void: reads as zeros afterwards,
			     * or as the file that is mapped there, to which
			     * it goes before if that is shared */
	VVM_ADV_COLD	    /* evict these before others */
};

/*
 * Maps len bytes of fresh zeros and stores the guest address in *addr.
 * On entry *addr is VVM_ANYWHERE (guest address == host address), or the
 * page-aligned guest address wanted, anywhere in the 48 bits; page 0 is
 * allowed when asked for. name (may be NULL, <= 31 bytes kept) is shown by
 * tools. O(1) in len: a 1 TiB region costs memory only for what is touched.
 *
 * -EINVAL  unaligned address, len 0 or past 2^48, unknown prot bits
 * -EEXIST  the range meets another region
 * -ENOMEM  no address space, memory, or kernel mappings (vm.max_map_count)
 */
int vvm_map(struct vvm *vm, uint64_t *addr, uint64_t len, unsigned prot,
	    const char *name);

/*
 * The same where the program wants it: host, page-aligned, is the host address
 * of the region, and its guest address. Errors as vvm_map(); -EEXIST: something
 * is mapped there, by whomever; -ENOMEM also: nothing may be.
 */
int vvm_map_at(struct vvm *vm, void *host, uint64_t len, unsigned prot,
	       const char *name);

enum vvm_file {
	VVM_FILE_PRIVATE = 1, /* changes are the space's own, as MAP_PRIVATE */
	VVM_FILE_SHARED = 2   /* changes go to the file, as MAP_SHARED */
};

/*
 * Maps len bytes of the regular file that is open, for reading, as fd, from byte
 * `offset` on, a multiple of VVM_PAGE_SIZE: as vvm_map(), but pages begin as what
 * the file has there. One that was never changed is read from it whenever it is
 * needed, and goes without being written. fd may be closed at once: the library
 * has a descriptor of its own until the last part is unmapped. name NULL: the
 * file's. flags:
 *
 * PRIVATE: a page that was changed is in the swap from then on, and the file is
 * never written to.
 *
 * SHARED: a page that was changed is written to its place in the file, when it
 * leaves memory, by vvm_sync(), vvm_unmap(), vvm_close() and VVM_ADV_DONTNEED, and
 * never to the swap. Process exit without one of these loses what is in memory. fd
 * must be open for writing, too, if prot has VVM_WRITE; if it is not,
 * vvm_protect() never permits writing. The file is not made longer: what is past
 * its end when a page is written is dropped, as by mmap(2). But who cuts it short
 * while pages are written may find it longer again: vvm_sync(), and no changes
 * meanwhile, before that. A page that was pinned, or touched for writing, counts
 * as changed. A write that fails is
 * tried again, and counted (writeback_failed_pages); the page stays in memory.
 * Unlike mmap's, the memory is this region's alone: another mapping of the file,
 * in this space or any process, or a read(2), sees what has been written to the
 * file, and this one sees what others have written when a page is read again, see
 * VVM_SYNC_INVALIDATE. Pages are written whole: what others write to a page that
 * is changed here is lost. With VVM_FORK_INHERIT children do not get the region:
 * who touches it there gets SIGSEGV.
 *
 * The rest of the page in which the file ends is zeros. Touching a page wholly
 * past the end is SIGBUS, or -VVM_EPOISON. What the file is counts when a page is
 * read or written, not before: it may be changed by others, grow and shrink. A
 * page that could not be read, or was past the end, stays so until
 * VVM_ADV_DONTNEED, which gives any page the content of the file again.
 *
 * Errors of vvm_map(), and
 * -EINVAL  offset unaligned, or past 2^63 - 1 with len; other flags
 * -EBADF   fd is not open; -EACCES: not for reading, or not for writing: SHARED
 *	    with VVM_WRITE; -ENODEV: no regular file
 * -EMFILE, -ENFILE  no descriptor is left
 */
int vvm_map_file(struct vvm *vm, uint64_t *addr, uint64_t len, unsigned prot,
		 const char *name, int fd, uint64_t offset, unsigned flags);

/*
 * A pager: code of the program that says what the pages of a region are, and takes
 * those that have been changed. vvm(7) has three of them: an array that is
 * computed on demand, an encrypted file, a store of objects.
 *
 * The library asks it by *requests*, each for some adjacent pages, of which any
 * number may be under way, in any order, but no two with a page in common. It
 * calls on threads of the pager's own, one request each at a time, and never where
 * a page is touched; a callback may take any time, and wait for anything but what
 * a thread holds that may be waiting for the pager: one that touches the region,
 * or is in vvm_sync(), vvm_unmap(), vvm_advise() or another call that changes
 * regions of the space. Nothing else of the space waits for a pager: other
 * regions are paged meanwhile, with the frames that its changed pages leave.
 *
 * A callback returns
 *	0		 the request is done
 *	-errno		 it has failed, all of it
 *	VVM_PAGER_LATER	 any thread will end it by vvm_pager_end(); perhaps one
 *			 has by now
 *
 * It runs with all signals blocked but the synchronous ones, on a stack of 1 MiB
 * that is not paged memory, and cannot be cancelled. It must return, by itself
 * (no pthread_exit(), no longjmp() out of it). It must not touch memory of the
 * space: an access to a page that is not resident gets SIGBUS, with a line in the
 * log, and vvm_* calls on the space return -EDEADLK (vvm_ptr(): NULL), rather
 * than wait for themselves. (A system call gets EFAULT, and others that wait for
 * that page SIGBUS.) Other threads that end requests must not either, and
 * of those the library does not know. Other spaces may be used.
 */
struct vvm_pager_request {
	uint64_t offset; /* of its first byte, as vvm_map_pager() counts */
	uint64_t len;	 /* in bytes, a multiple of VVM_PAGE_SIZE; of a read or
			  * write at most 1 MiB */
	/*
	 * len bytes, page aligned, not paged, the request's until it is done. A
	 * read: where the pages are to be put; all zeros at the beginning, so
	 * what is zero is there already. Else NULL.
	 */
	void *to;
	/* A write: what the pages are now. Not to be changed. Else NULL. */
	const void *from;
};

#define VVM_PAGER_LATER	  1
#define VVM_PAGER_THREADS 64 /* of one pager; 256 of all of a space */

struct vvm_pager {
	size_t struct_bytes; /* sizeof(struct vvm_pager) */
	/*
	 * Puts pages to rq->to. Those that fail are *poisoned*, as if swap had
	 * not given them back: touching them is SIGBUS, or -VVM_EPOISON, until
	 * VVM_ADV_DONTNEED, or vvm_sync() with INVALIDATE if there is a write().
	 * Nobody asks for a page again that is resident. What is read ahead of
	 * need is asked for in the same way, and asked for once more if that
	 * fails.
	 */
	int (*read)(void *arg, struct vvm_pager_request *rq);
	/*
	 * Takes pages that have been changed, from rq->from: when they leave
	 * memory, for vvm_sync(), when they are unmapped. Pages that fail stay
	 * in memory, and are tried again, as those of shared files. NULL: what
	 * has been changed is the space's own, and goes to the swap.
	 */
	int (*write)(void *arg, struct vvm_pager_request *rq);
	/*
	 * Of VVM_ADV_DONTNEED: what the range was is void, changed pages have
	 * been dropped. May be of any length, and of pages that were never read;
	 * and reads of those that others touch meanwhile may run beside it.
	 * NULL: they are written first, if there is a write(), and then dropped;
	 * either way the pager is asked for them when they are touched again.
	 */
	int (*discard)(void *arg, struct vvm_pager_request *rq);
	/*
	 * Of VVM_SYNC_SYNC, after the writes: all that write() has taken is to
	 * be safe. offset and len mean nothing. NULL: it is. Needs a write().
	 */
	int (*sync)(void *arg, struct vvm_pager_request *rq);
	void *arg;	  /* for these */
	unsigned threads; /* that call them; 0: one */
	unsigned flags;	  /* 0 */
};

/*
 * Maps len bytes, whose first is byte `offset`, a multiple of VVM_PAGE_SIZE, of
 * what the pager pages: as vvm_map(). *pager is copied. The threads are the
 * region's, and end with the last part of it: once vvm_unmap(), or vvm_close(), has
 * returned no callback runs. Both wait for requests under way, and write what was
 * changed first; so a callback that never returns, or a request that nobody ends,
 * is waited for for ever, as by everybody who touches such a page. While it waits
 * for a pager, vvm_sync(), vvm_unmap(), or DONTNEED, of its region, or of others'
 * memory in 2 MiB of which it is writing a page, keeps calls that change regions
 * waiting, and the reads that threads wait for have a frame each: who needs one
 * gets SIGBUS after frame_wait_ms if there is none. fork() waits for requests under
 * way, with VVM_FORK_INHERIT, but not for long: then that child inherits nothing.
 * Children never have the region: who touches it there gets SIGSEGV. A pager thread
 * that is killed (see above) counts as one that never returns.
 *
 * Errors of vvm_map(), and
 * -EINVAL  pager: struct_bytes, no read, sync without write, too many threads,
 *	    flags; offset unaligned, or past 2^63 - 1 with len
 * -EAGAIN  threads: the kernel's limit, or the space's
 */
int vvm_map_pager(struct vvm *vm, uint64_t *addr, uint64_t len, unsigned prot,
		  const char *name, const struct vvm_pager *pager,
		  uint64_t offset);

/*
 * Of a read or write under way, by whoever has it in hand: the pages that hold
 * bytes [offset, offset + len) have failed, whatever the others do. offset counts
 * as rq->offset does. -EINVAL: not all of it is in the request.
 */
int vvm_pager_fail(struct vvm_pager_request *rq, uint64_t offset, uint64_t len);

/*
 * Ends a request whose callback has returned VVM_PAGER_LATER, or will. result: 0
 * or -errno, as of a callback. rq and its memory are not to be touched any more. By
 * any thread, but once: a second time ends the process, where it is noticed.
 */
void vvm_pager_end(struct vvm_pager_request *rq, int result);

enum vvm_sync {
	VVM_SYNC_ASYNC = 1,	 /* what was changed is given to the kernel */
	VVM_SYNC_INVALIDATE = 2, /* what was not is read from the file again */
	VVM_SYNC_SYNC = 4	 /* as ASYNC, and it is on the disk */
};

/*
 * Writes what has been changed in regions of shared files (VVM_FILE_SHARED), or of
 * pagers that write, to the files or by the pagers, as msync(2). All that was
 * written to the range before the call is in the file on return, and with SYNC on
 * the disk: fdatasync(2). What is written during the call, by any number of
 * threads, is in the file then, or still dirty.
 * A pinned page (vvm_pin()) is written as it is then, and stays dirty. In guard
 * mode all resident pages of the range are compared, and the next access to each
 * is a fault.
 * ASYNC waits for the transfers, too, but not for the disk: what is in the file
 * then outlives the process, but not a failure of power.
 * INVALIDATE, alone or with one of the others, and after it: pages that have not
 * been changed, or only before the call, give their frames back, so that the next
 * access reads what the file is then; those that could not be read may be read
 * again. Those that a system call of another thread writes to just then may stay
 * (process_vm_writev(2)). flags: one of ASYNC and SYNC, or INVALIDATE, or both.
 *
 * Other regions are left alone. After an error all has been done that could be;
 * what could not be written is still dirty, nothing of it is lost, and the next
 * call tries again. But after an error of the disk itself (fdatasync(2)) it is
 * not known what of all that was written since the last success is on it.
 * What an unmapping by another thread loses meanwhile it does not tell.
 * Thread-safe; any number of threads may sync the same range. The first of
 * -EINVAL  unaligned, or past 2^48; flags
 * -EBUSY   INVALIDATE, and a page is pinned: nothing has been done
 * -EIO, -ENOSPC, -EDQUOT, -EFBIG (RLIMIT_FSIZE): of the file
 * -ENOMEM  the kernel is short of memory, or there is none for a list of files
 * -VVM_EUNMAPPED  the range is not wholly mapped; what is has been synced
 */
int vvm_sync(struct vvm *vm, uint64_t addr, uint64_t len, unsigned flags);

/*
 * Unmaps all regions, or parts of regions, in the range; holes are allowed.
 * Their content is gone, frames and slots are free on return. Threads blocked
 * on a page of the range get SIGSEGV. Waits for I/O in flight on the range.
 * What was changed in shared files is written to them first; if that fails it is
 * lost, logged and counted (writeback_failed_pages): vvm_sync() before tells.
 * What the kernel refuses to free then is freed by a later call, and not used
 * before.
 * -EINVAL unaligned, or past 2^48; -EBUSY a page of it is pinned;
 * -ENOMEM no memory, or kernel mappings, to split a region; of several
 * regions some may be gone then.
 */
int vvm_unmap(struct vvm *vm, uint64_t addr, uint64_t len);

/*
 * Sets the permissions of pages. -EINVAL as vvm_map(); -VVM_EUNMAPPED: the
 * range is not wholly mapped; -EACCES: VVM_WRITE, and a part is a shared file that
 * is not open for writing; -ENOMEM: too many kernel mappings. If the kernel
 * refuses to undo it, too, some of several regions have changed then:
 * vvm_query() tells.
 */
int vvm_protect(struct vvm *vm, uint64_t addr, uint64_t len, unsigned prot);

/*
 * NORMAL, RANDOM and SEQUENTIAL stay with the range; the others act once.
 * DONTNEED waits for reads in flight on the range; slots of pages that are
 * just being written come back when the write ends. Pages of shared files are
 * written to them first; those that cannot be, or are changed meanwhile, stay.
 * -EINVAL unaligned, past 2^48 or unknown advice; -VVM_EUNMAPPED: not wholly
 * mapped; -EBUSY: DONTNEED and a page is pinned; -ENOMEM: no memory to split,
 * or the kernel would not free (part of the range may read as zeros then).
 */
int vvm_advise(struct vvm *vm, uint64_t addr, uint64_t len,
	       enum vvm_advice advice);

enum vvm_touch { VVM_TOUCH_READ, VVM_TOUCH_WRITE };

/*
 * Makes the pages of the range resident, one after the other (they may be
 * evicted again at any time); TOUCH_WRITE also marks them written.
 * -EINVAL, -VVM_EUNMAPPED, -VVM_ENOREAD, -VVM_ENOWRITE, -VVM_EPOISON,
 * -VVM_ENOFRAME, -ENOMEM (page table). Pages before the failing one stay
 * touched.
 */
int vvm_touch(struct vvm *vm, uint64_t addr, uint64_t len, enum vvm_touch how);

/*
 * Makes the pages resident and keeps them so, and writable ones marked as
 * written, until unpinned as often as pinned. The physical frames do not
 * move. Errors as vvm_touch(), and -EAGAIN: the budget would not leave 8
 * (or, below 16 pages, half of its) frames unpinned, or a page has 65,535
 * pins. On error nothing stays pinned.
 */
int vvm_pin(struct vvm *vm, uint64_t addr, uint64_t len);
/* -EINVAL: a page of the range is not pinned; then nothing is unpinned. */
int vvm_unpin(struct vvm *vm, uint64_t addr, uint64_t len);

struct vvm_region {
	uint64_t start, end; /* guest range */
	void *host;	     /* host address of start */
	unsigned prot;	     /* enum vvm_prot bits */
	unsigned advice;     /* NORMAL, RANDOM or SEQUENTIAL */
	uint64_t mapping;    /* number of the vvm_map() call it came from */
	char name[32];
};

/*
 * The region that holds addr or, failing that, the next one above. To walk
 * all: start at 0, go on with region.end. 0, or -VVM_EUNMAPPED: none there.
 */
int vvm_query(struct vvm *vm, uint64_t addr, struct vvm_region *region);

enum vvm_page_flags {
	VVM_PAGE_RESIDENT = 1, /* has a frame */
	VVM_PAGE_DIRTY = 2,    /* the frame is the only copy of it as it is */
	VVM_PAGE_SWAPPED = 4,  /* a copy is in swap: not of what a file has */
	VVM_PAGE_BUSY = 8,     /* I/O in flight */
	VVM_PAGE_PINNED = 16,
	VVM_PAGE_POISONED = 32
};

/*
 * Like mincore(2): one byte of vvm_page_flags for each page of the range.
 * -EINVAL, -VVM_EUNMAPPED as vvm_protect().
 */
int vvm_residency(struct vvm *vm, uint64_t addr, uint64_t len,
		  unsigned char *flags);

/*
 * Guest address to pointer, and back. vvm_ptr: NULL when not mapped.
 * vvm_addr: -VVM_EUNMAPPED when the pointer is in no region.
 */
void *vvm_ptr(struct vvm *vm, uint64_t addr);
int vvm_addr(struct vvm *vm, const void *ptr, uint64_t *addr);

/* ------------------------------------------------------------------ */
/* Checked access: any address, never a signal				*/

/*
 * Copies len bytes from / to guest memory. Every page is checked before the
 * first byte moves. Not atomic against other threads' stores.
 *
 * -VVM_EUNMAPPED  the first byte is in no region
 * -VVM_EPASTEND   a later byte is in none, or past 2^48
 * -VVM_ENOREAD, -VVM_ENOWRITE  the permissions say no
 * -VVM_EPOISON, -VVM_ENOFRAME  as a plain access would get SIGBUS; bytes of
 *		   earlier pages were copied
 * -ENOMEM	   page table
 * len 0 succeeds anywhere below 2^48.
 */
int vvm_load(struct vvm *vm, uint64_t addr, void *buf, size_t len);
int vvm_store(struct vvm *vm, uint64_t addr, const void *buf, size_t len);

/*
 * May len bytes at addr be executed? 0, -VVM_EUNMAPPED, -VVM_EPASTEND,
 * -VVM_ENOEXEC. Brings nothing in.
 */
int vvm_fetch_check(struct vvm *vm, uint64_t addr, size_t len);

/*
 * Makes a system call, as syscall(2), whose pointers may lie in regions of any
 * space of the process, or be anything else: what the kernel cannot reach is
 * copied for it. Returns the kernel's result, or -errno. A call that waits holds
 * no frames, and is interrupted and restarted by signals as without the library.
 * It may be called in signal handlers, and works with VVM_SYSCALLS_OFF, too.
 *
 * What the kernel is to use after the call (io_submit(2), MSG_ZEROCOPY, robust
 * lists, rseq(2), new stacks) must be pinned. MSG_ZEROCOPY is -ENOBUFS, a signal
 * stack of more than a quarter of the budget -ENOMEM, as is a lack of memory.
 * Calls that the library does not know, and ioctl(2)s, keep the pages that they
 * point to pinned meanwhile.
 */
long vvm_syscall(long nr, long a, long b, long c, long d, long e, long f);

/* ------------------------------------------------------------------ */
/* Callbacks								*/

enum vvm_access { VVM_ACCESS_READ, VVM_ACCESS_WRITE, VVM_ACCESS_EXEC };

struct vvm_fault {
	uint64_t addr; /* guest address */
	void *ptr;     /* the same as a pointer (si_addr) */
	enum vvm_access access;
	int error;     /* -VVM_ENOREAD, ENOWRITE, ENOEXEC, EPOISON, ENOFRAME */
	void *context; /* ucontext_t of the access */
};

enum vvm_verdict {
	VVM_DECLINE, /* not mine: the previous handler, or death, as without */
	VVM_RETRY    /* repaired (say, by vvm_protect()): do the access again */
};

/*
 * Called for an illegal or failed plain access to a region, in the thread
 * that did it, inside a SIGSEGV or SIGBUS handler that libvvm installs for
 * the process with the first callback (a handler that was there before gets
 * everything that is not libvvm's). The callback may call vvm_* functions on
 * the space, and may leave with siglongjmp(). It runs on the alternate signal
 * stack if the thread has one. callback NULL: none (the default).
 * -EINVAL, -EAGAIN: too many spaces with callbacks (64).
 */
typedef enum vvm_verdict (*vvm_fault_callback)(struct vvm *vm,
					       const struct vvm_fault *fault,
					       void *arg);
int vvm_on_fault(struct vvm *vm, vvm_fault_callback callback, void *arg);

/*
 * Called by a library thread when swap has no room for a page that must go
 * out, at most once a second while that lasts, and not while a pager takes
 * more than 20 ms for a write. It must not touch guest memory; it may free
 * some by vvm_unmap() or VVM_ADV_DONTNEED from here or, better, wake a thread
 * of yours that does. Should it fork: the child must not return from it.
 */
struct vvm_low_space {
	uint64_t swap_used_bytes, swap_limit_bytes, dirty_bytes;
};
typedef void (*vvm_low_space_callback)(struct vvm *vm,
				       const struct vvm_low_space *info,
				       void *arg);
int vvm_on_low_space(struct vvm *vm, vvm_low_space_callback callback,
		     void *arg);

/* ------------------------------------------------------------------ */
/* Statistics and capabilities						*/

/*
 * Snapshot of the counters of <vvm_stat.h>, summed over the library's
 * threads, by their enum vvm_stat_counter, and of its values. A library that
 * was configured with --disable-stats counts nothing but faults, and what goes
 * up and down (GAUGE).
 */
struct vvm_stats;
/* struct_bytes: sizeof *stats; a shorter struct gets the fields it has. */
int vvm_stats(struct vvm *vm, struct vvm_stats *stats, size_t struct_bytes);

enum vvm_probe_flags {
	VVM_PROBE_USERFAULTFD = 1, /* the kernel has it */
	VVM_PROBE_PERMITTED = 2,   /* this process may use it */
	VVM_PROBE_USER_ONLY = 4,   /* only for user-mode faults: system calls
				    * on absent pages will fail (EFAULT) */
	VVM_PROBE_WP_SHMEM = 8,	   /* needed; Linux 5.19 */
	VVM_PROBE_PAGE_SIZE = 16,  /* 4 KiB */
	VVM_PROBE_THREAD_ID = 32,
	VVM_PROBE_POISON = 64,	      /* UFFDIO_POISON; Linux 6.6 */
	VVM_PROBE_PAGEMAP_SCAN = 128, /* Linux 6.7 */
	VVM_PROBE_IO_URING = 256,
	/*
	 * VVM_FAULTS_GUARD is possible; without PERMITTED and WP_SHMEM it is
	 * what VVM_FAULTS_AUTO takes. Linux 6.15, x86-64.
	 */
	VVM_PROBE_GUARD = 512
};

struct vvm_probe {
	unsigned flags;
	int usable;	    /* 1: vvm_open() can work here */
	int error;	    /* else: what it would return */
	const char *reason; /* and one line that says what to do, or "" */
};

/* What this kernel and this process's permissions allow. -EINVAL only. */
int vvm_probe(struct vvm_probe *probe);

/* "0.1.0" */
const char *vvm_version(void);

#ifdef __cplusplus
}
#endif

#include <vvm_stat.h>

struct vvm_stats {
#define X(name, kind, help) int64_t name;
	VVM_STAT_COUNTERS(X)
#undef X
#define X(name, help) uint64_t name;
	VVM_STAT_VALUES(X)
#undef X
	uint64_t latency[VVM_STAT_BUCKETS]; /* of faults, vvm_stat_bucket() */
};

#endif
