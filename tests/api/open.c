/* SPDX-License-Identifier: MIT */
/*
 * api/open.c - spaces as a user of the public library sees them: options and
 * environment, every documented error of vvm_open() that can be provoked
 * without fault injection (live/failures.c does the rest), what open and
 * close leave behind, fork(), two spaces, vvm_probe() and the error texts.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/loop.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/access.h"
#include "support/child.h"
#include "support/files.h"
#include "support/live.h"
#include "support/process.h"
#include "support/random.h"
#include "support/refuse.h"
#include "support/test.h"
#include "support/wait.h"

extern char **environ;

static void clear_variables(void)
{
	char **e, name[64];

	for (e = environ; *e;) {
		size_t n = strcspn(*e, "=");

		if (strncmp(*e, "VVM_", 4) != 0 || n >= sizeof(name)) {
			e++;
			continue;
		}
		memcpy(name, *e, n);
		name[n] = '\0';
		unsetenv(name); /* which moves the others up */
	}
}

/* ---- options ---- */

static void check_plain_defaults(const struct vvm_options *o)
{
	live_equal(o->struct_bytes, sizeof *o);
	live_equal(o->resident_bytes, 256 << 20);
	ck_assert_str_eq(o->swap_path, "/var/tmp");
	live_equal(o->swap_limit_bytes, 0);
	live_equal(o->swap_reserve, 0);
	live_equal(o->swap_direct, 1);
	live_equal(o->io, VVM_IO_AUTO);
	live_equal(o->faults, VVM_FAULTS_AUTO);
	live_equal(o->handlers, 0);
	live_equal(o->low_pct, 2);
	live_equal(o->high_pct, 4);
	live_equal(o->frame_wait_ms, 10000);
	live_equal(o->spin_us, 100);
	live_equal(o->pollers, 1);
	ck_assert_str_eq(o->policy, "heat");
	live_equal(o->readahead_max_pages, 512);
	live_equal(o->stat_segment, 1);
}

START_TEST(options_have_the_documented_defaults)
{
	struct vvm_options o;

	clear_variables();
	memset(&o, 0x5a, sizeof o);
	live_ok(vvm_options_init(&o));
	check_plain_defaults(&o);
	live_expect(vvm_options_init(NULL), -EINVAL);
}
END_TEST

START_TEST(options_come_from_the_environment)
{
	struct vvm_options o;

	clear_variables();
	setenv("VVM_RESIDENT", "64M", 1);
	setenv("VVM_SWAP", "/tmp", 1);
	setenv("VVM_SWAP_LIMIT", "1.5G", 1);
	setenv("VVM_SWAP_RESERVE", "yes", 1);
	setenv("VVM_SWAP_DIRECT", "off", 1);
	setenv("VVM_IO", "sync", 1);
	setenv("VVM_FAULTS", "inline", 1);
	setenv("VVM_HANDLERS", "3", 1);
	setenv("VVM_LOW_PCT", "5", 1);
	setenv("VVM_HIGH_PCT", "9", 1);
	setenv("VVM_FRAME_WAIT_MS", "123", 1);
	setenv("VVM_SPIN_US", "0", 1);
	setenv("VVM_POLLERS", "3", 1);
	setenv("VVM_POLICY", "clock", 1);
	setenv("VVM_READAHEAD", "7", 1);
	setenv("VVM_STAT", "no", 1);
	live_ok(vvm_options_init(&o));
	live_equal(o.resident_bytes, 64 << 20);
	ck_assert_str_eq(o.swap_path, "/tmp");
	live_equal(o.swap_limit_bytes, 3ll << 29);
	live_equal(o.swap_reserve, 1);
	live_equal(o.swap_direct, 0);
	live_equal(o.io, VVM_IO_SYNC);
	live_equal(o.faults, VVM_FAULTS_INLINE);
	live_equal(o.handlers, 3);
	live_equal(o.low_pct, 5);
	live_equal(o.high_pct, 9);
	live_equal(o.frame_wait_ms, 123);
	live_equal(o.spin_us, 0);
	live_equal(o.pollers, 3);
	ck_assert_str_eq(o.policy, "clock");
	live_equal(o.readahead_max_pages, 7);
	live_equal(o.stat_segment, 0);
}
END_TEST

START_TEST(options_keep_their_strings_when_asked_again)
{
	struct vvm_options first, second;

	clear_variables();
	setenv("VVM_SWAP", "/tmp", 1);
	live_ok(vvm_options_init(&first));
	setenv("VVM_SWAP", "/var/tmp", 1);
	live_ok(vvm_options_init(&second));
	ck_assert_str_eq(second.swap_path, "/var/tmp");
	ck_assert_str_eq(first.swap_path, "/tmp");
}
END_TEST

static const struct {
	const char *name, *value;
} nonsense[] = {
	{"VVM_RESIDENT", "banana"}, {"VVM_RESIDENT", "-5"},
	{"VVM_SWAP_LIMIT", "12Q"},  {"VVM_SWAP_RESERVE", "maybe"},
	{"VVM_SWAP_DIRECT", "2"},   {"VVM_IO", "fast"},
	{"VVM_FAULTS", "magic"},    {"VVM_HANDLERS", "-1"},
	{"VVM_LOW_PCT", "few"},	    {"VVM_HIGH_PCT", "4%"},
	{"VVM_FRAME_WAIT_MS", "x"}, {"VVM_SPIN_US", "1e"},
	{"VVM_POLICY", "random"},   {"VVM_READAHEAD", "all"},
	{"VVM_STAT", "perhaps"},
};

/* A nonsensical variable is an error, named on standard error. */
START_TEST(options_refuse_nonsense_in_the_environment)
{
	struct vvm_options o;
	struct vvm *vm = NULL;
	char text[4096] = "";
	FILE *err = tmpfile();
	int saved = dup(2);

	clear_variables();
	setenv("VVM_READAHEAD", "9", 1); /* valid, and ignored too */
	setenv(nonsense[_i].name, nonsense[_i].value, 1);
	fflush(stderr);
	dup2(fileno(err), 2);
	memset(&o, 0x5a, sizeof o);
	live_expect(vvm_options_init(&o), -EINVAL);
	live_expect(vvm_open(&vm, NULL), -EINVAL);
	fflush(stderr);
	dup2(saved, 2);
	rewind(err);
	live_check(fread(text, 1, sizeof text - 1, err) > 0);
	ck_assert_msg(strstr(text, nonsense[_i].name) != NULL,
		      "%s is not named in: %s", nonsense[_i].name, text);
	check_plain_defaults(&o);
}
END_TEST

static void refused(struct vvm_options o, int want)
{
	struct vvm *vm = NULL;
	int fds = live_count_fds(), threads = live_count_threads();

	live_expect(vvm_open(&vm, &o), want);
	live_equal(live_count_fds(), fds);
	live_equal(live_count_threads(), threads);
}

START_TEST(open_refuses_options_out_of_range)
{
	struct vvm_options good, o;

	live_options(&good, 64);
	live_expect(vvm_open(NULL, &good), -EINVAL);
	o = good, o.struct_bytes = 0, refused(o, -EINVAL);
	o = good, o.resident_bytes = 0, refused(o, -EINVAL);
	o = good, o.resident_bytes = LIVE_PAGE - 1, refused(o, -EINVAL);
	o = good, o.io = (enum vvm_io)77, refused(o, -EINVAL);
	o = good, o.faults = (enum vvm_faults)77, refused(o, -EINVAL);
	o = good, o.policy = "no such policy", refused(o, -EINVAL);
	o = good, o.low_pct = 60, o.high_pct = 90, refused(o, -EINVAL);
	o = good, o.low_pct = 9, o.high_pct = 3, refused(o, -EINVAL);
}
END_TEST

/* ---- swap paths ---- */

/* Opens, pages 64 pages in and out of a budget of 8, verifies, closes. */
static void page_through(const struct vvm_options *o)
{
	struct vvm *vm;
	char *p;

	live_ok(vvm_open(&vm, o));
	p = live_map(vm, 64, LIVE_RW);
	for (uint64_t i = 0; i < 64; i++)
		live_fill(p + i * LIVE_PAGE, i, 1);
	for (uint64_t i = 0; i < 64; i++)
		live_equal(live_verify(p + i * LIVE_PAGE, i, 1), -1);
	live_check(!TEST_STATS || live_stats(vm).swapin_pages > 0);
	live_ok(vvm_close(vm));
}

START_TEST(swap_in_a_directory_leaves_no_file)
{
	struct vvm_options o;
	struct vvm *vm;
	int entries = live_count_dir(live_dir);

	live_options(&o, 8);
	o.swap_path = live_dir;
	page_through(&o);
	live_equal(live_count_dir(live_dir), entries);
	live_ok(vvm_open(&vm, &o)); /* nor while it is in use */
	live_equal(live_count_dir(live_dir), entries);
	live_ok(vvm_close(vm));
}
END_TEST

START_TEST(swap_file_is_created_private_and_reused)
{
	struct vvm_options o;
	struct stat st;

	umask(0);
	live_options(&o, 8);
	o.swap_path = live_path("swapfile");
	page_through(&o);
	live_check(stat(o.swap_path, &st) == 0);
	live_check(S_ISREG(st.st_mode));
	live_equal(st.st_mode & 0777, 0600);
	page_through(&o); /* exists now: its content is overwritten */
	o.swap_direct = 0;
	page_through(&o);
}
END_TEST

START_TEST(swap_path_errors)
{
	struct vvm_options o;
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd, sock = socket(AF_UNIX, SOCK_STREAM, 0);

	live_options(&o, 8);
	o.swap_path = live_path("missing/deeper");
	refused(o, -ENOENT);
	live_check((fd = creat(live_path("plain"), 0600)) >= 0);
	close(fd);
	o.swap_path = live_path("plain/below");
	refused(o, -ENOTDIR);
	live_check(mkfifo(live_path("fifo"), 0600) == 0);
	o.swap_path = live_path("fifo");
	refused(o, -ENOTSUP);
	o.swap_path = "/dev/null";
	refused(o, -ENOTSUP);
	snprintf(sun.sun_path, sizeof sun.sun_path, "%s", live_path("socket"));
	live_check(bind(sock, (struct sockaddr *)&sun, sizeof sun) == 0);
	o.swap_path = sun.sun_path;
	refused(o, -ENOTSUP);
	close(sock);
}
END_TEST

START_TEST(swap_symlink_rules)
{
	struct vvm_options o;
	struct vvm *vm = NULL;
	int r;

	live_options(&o, 8);
	live_check(symlink(live_path("loop-b"), live_path("loop-a")) == 0);
	live_check(symlink(live_path("loop-a"), live_path("loop-b")) == 0);
	o.swap_path = live_path("loop-a");
	refused(o, -ELOOP);
	/* A dangling link must not create what it points to. */
	live_check(symlink(live_path("elsewhere"), live_path("dangling")) == 0);
	o.swap_path = live_path("dangling");
	r = vvm_open(&vm, &o);
	ck_assert_msg(r == -ELOOP || r == -ENOENT, "dangling link: %d", r);
	live_check(access(live_path("elsewhere"), F_OK) != 0);
	/* A link to a directory is a directory. */
	live_check(symlink(live_dir, live_path("link-to-dir")) == 0);
	o.swap_path = live_path("link-to-dir");
	page_through(&o);
}
END_TEST

static int open_busy_file(void *arg)
{
	struct vvm *vm = NULL;

	child_expect(vvm_open(&vm, arg), -EBUSY);
	return 0;
}

/* Threads of a space that was opened just now may still open what is theirs. */
static bool busy_without_trace(const struct vvm_options *o)
{
	struct vvm *vm = NULL;
	int fds = live_count_fds();

	live_expect(vvm_open(&vm, o), -EBUSY);
	return live_count_fds() == fds;
}

START_TEST(swap_file_in_use_is_busy)
{
	struct vvm_options o;
	struct vvm *vm;

	live_options(&o, 8);
	o.swap_path = live_path("busy");
	live_ok(vvm_open(&vm, &o));
	live_wait(busy_without_trace(&o), 20000); /* another space */
	live_child_ok(open_busy_file, &o);	  /* another process */
	live_ok(vvm_close(vm));
	page_through(&o);
}
END_TEST

/* As root, give up the right to pass over file modes; uid and rest stay. */
START_TEST(swap_directory_without_permission)
{
	struct vvm_options o;
	int root = geteuid() == 0;

	live_options(&o, 8);
	live_check(mkdir(live_path("closed"), 0700) == 0);
	live_check(chmod(live_path("closed"), 0) == 0);
	if (root)
		setfsuid(65534);
	o.swap_path = live_path("closed");
	refused(o, -EACCES);
	if (root)
		setfsuid(0);
	live_check(chmod(live_path("closed"), 0700) == 0);
}
END_TEST

/* A tmpfs in a mount namespace of our own; 0: not permitted here. */
static int mount_tmpfs(const char *at, unsigned long flags, const char *size)
{
	return unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", at, "tmpfs", flags, size) == 0;
}

static int open_read_only(void *arg)
{
	struct vvm_options *o = arg;
	struct vvm *vm = NULL;

	if (!mount_tmpfs(o->swap_path, MS_RDONLY, "size=4m"))
		return 0;
	child_expect(vvm_open(&vm, o), -EROFS);
	return 0;
}

static int open_reserved(void *arg)
{
	struct vvm_options *o = arg;
	struct vvm *vm = NULL;

	if (!mount_tmpfs(o->swap_path, 0, "size=4m"))
		return 0;
	o->swap_reserve = 1;
	o->swap_limit_bytes = 64 << 20;
	child_expect(vvm_open(&vm, o), -ENOSPC);
	o->swap_limit_bytes = 1 << 20;
	child_expect(vvm_open(&vm, o), 0);
	child_expect(vvm_close(vm), 0);
	return 0;
}

START_TEST(swap_file_system_read_only_or_too_small)
{
	struct vvm_options o;

	live_options(&o, 8);
	live_check(mkdir(live_path("mnt"), 0700) == 0);
	o.swap_path = live_path("mnt");
	live_child_ok(open_read_only, &o);
	live_child_ok(open_reserved, &o);
}
END_TEST

/* Returns the path of a loop device over file that goes when closed, or -1. */
static int loop_device(const char *file, char *path, size_t size)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int backing = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct loop_info64 info = {.lo_flags = LO_FLAGS_AUTOCLEAR};
	int n, loop = -1;

	if (control < 0 || backing < 0 || ftruncate(backing, 4 << 20))
		goto out;
	n = ioctl(control, LOOP_CTL_GET_FREE);
	if (n < 0)
		goto out;
	snprintf(path, size, "/dev/loop%d", n);
	loop = open(path, O_RDWR | O_CLOEXEC);
	if (loop >= 0 && (ioctl(loop, LOOP_SET_FD, backing) ||
			  ioctl(loop, LOOP_SET_STATUS64, &info))) {
		ioctl(loop, LOOP_CLR_FD, 0);
		close(loop);
		loop = -1;
	}
out:
	close(control);
	close(backing);
	return loop;
}

START_TEST(swap_on_a_block_device)
{
	struct vvm_options o;
	char path[64];
	int loop = loop_device(live_path("image"), path, sizeof path);

	if (loop < 0)
		return; /* none here */
	live_options(&o, 8);
	o.swap_path = path;
	page_through(&o);
	close(loop);
}
END_TEST

/* ---- resources ---- */

/* k descriptors too few, for every k until it opens. */
static int open_with_few_descriptors(void *arg)
{
	struct rlimit most, few;
	int used = live_count_fds() - 3; /* ".", ".." and its own */
	int failed = 0;

	child_check(getrlimit(RLIMIT_NOFILE, &most) == 0);
	for (int k = 0; k < 100; k++) {
		struct vvm *vm = NULL;
		int r;

		few = most;
		few.rlim_cur = (rlim_t)(used + k);
		child_check(setrlimit(RLIMIT_NOFILE, &few) == 0);
		r = vvm_open(&vm, arg);
		if (r == 0)
			child_expect(vvm_close(vm), 0);
		child_check(setrlimit(RLIMIT_NOFILE, &most) == 0);
		child_check(live_count_fds() - 3 == used);
		/* us, ".", ".." */
		child_check(LIVE_TSAN || live_count_threads() == 3);
		if (r == 0) {
			child_check(failed > 0);
			return 0;
		}
		child_expect(r, -EMFILE);
		failed++;
	}
	return 98;
}

START_TEST(open_with_too_few_descriptors)
{
	struct vvm_options o;

	live_options(&o, 8);
	o.handlers = 2;
	live_child_ok(open_with_few_descriptors, &o);
}
END_TEST

static void cycle(void)
{
	struct vvm *vm = live_open(16);
	char *p = live_map(vm, 64, LIVE_RW);

	for (int i = 0; i < 64; i++)
		p[i * LIVE_PAGE] = (char)i;
	live_ok(vvm_close(vm));
}

static int open_with_short_files(void *arg)
{
	struct rlimit limit = {.rlim_cur = 1 << 20, .rlim_max = 1 << 20};
	struct vvm *vm = NULL;

	child_check(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	child_expect(vvm_open(&vm, arg), -EFBIG);
	return 0;
}

/* An error, no SIGXFSZ. */
START_TEST(open_with_a_limit_on_file_sizes)
{
	struct vvm_options o;

	live_options(&o, 8);
	live_child_ok(open_with_short_files, &o);
}
END_TEST

START_TEST(cycles_return_descriptors_threads_and_mappings)
{
	int fds, threads, maps;
	uint64_t rss;

	for (int i = 0; i < 5; i++)
		cycle();
	fds = live_count_fds();
	threads = live_count_threads();
	maps = live_count_maps();
	rss = live_rss_bytes();
	for (int i = 0; i < 50; i++)
		cycle();
	live_equal(live_count_fds(), fds);
	live_equal(live_count_threads(), threads);
	/* glibc keeps some stacks: no 50 of anything, though. */
	if (!LIVE_TSAN)
		ck_assert_int_le(live_count_maps(), maps + 10);
	if (!LIVE_SANITIZED)
		ck_assert_uint_le(live_rss_bytes(), rss + (8 << 20));
}
END_TEST

START_TEST(close_null_is_fine)
{
	live_ok(vvm_close(NULL));
}
END_TEST

START_TEST(close_with_regions_and_pins)
{
	struct vvm *vm = live_open(64);
	char *p = live_map(vm, 16, LIVE_RW);

	live_map(vm, 1 << 20, LIVE_RW);
	live_ok(vvm_pin(vm, live_addr(p), 16 * LIVE_PAGE));
	live_ok(vvm_close(vm));
	live_catch();
	live_equal(live_try_store(p, 1), SIGSEGV);
}
END_TEST

/* Segments of this process in VVM_STAT_DIR. */
static int count_segments(void)
{
	char prefix[64];
	DIR *dir = opendir(VVM_STAT_DIR);
	struct dirent *d;
	int n = 0;

	snprintf(prefix, sizeof prefix, VVM_STAT_PREFIX "%d.", (int)getpid());
	while (dir && (d = readdir(dir))) {
		struct stat st;

		if (strncmp(d->d_name, prefix, strlen(prefix)))
			continue;
		n++;
		live_check(fstatat(dirfd(dir), d->d_name, &st,
				   AT_SYMLINK_NOFOLLOW) == 0);
		live_equal(st.st_mode & 0777, 0600);
	}
	if (dir)
		closedir(dir);
	return n;
}

START_TEST(statistics_file_lives_as_long_as_the_space)
{
	struct vvm_options o;
	struct vvm *one, *two;

	if (access(VVM_STAT_DIR, W_OK))
		return;
	live_options(&o, 8);
	o.stat_segment = 1;
	live_ok(vvm_open(&one, &o));
	live_equal(count_segments(), 1);
	live_ok(vvm_open(&two, &o));
	live_equal(count_segments(), 2);
	live_ok(vvm_close(one));
	live_equal(count_segments(), 1);
	live_ok(vvm_close(two));
	live_equal(count_segments(), 0);
}
END_TEST

START_TEST(every_io_engine_works)
{
	struct vvm_options o;
	struct vvm_probe probe;

	live_ok(vvm_probe(&probe));
	live_options(&o, 8);
	o.io = VVM_IO_SYNC;
	page_through(&o);
	o.io = VVM_IO_AUTO;
	page_through(&o);
	o.io = VVM_IO_URING;
	if (probe.flags & VVM_PROBE_IO_URING)
		page_through(&o);
	else
		refused(o, -ENOSYS);
}
END_TEST

START_TEST(inline_faults_work_or_are_refused)
{
	struct vvm_options o;
	struct vvm *vm = NULL;
	int r;

	live_options(&o, 8);
	o.faults = VVM_FAULTS_INLINE;
	r = vvm_open(&vm, &o);
	if (r == -ENOTSUP)
		return;
	if (!LIVE_TSAN && live_mode_missing("inline")) { /* not permitted */
		live_expect(r, -EPERM);
		return;
	}
	live_ok(r);
	live_ok(vvm_close(vm));
	page_through(&o);
}
END_TEST

START_TEST(default_options_open)
{
	struct vvm *vm;

	clear_variables();
	setenv("VVM_STAT", "no", 1);
	live_ok(vvm_open(&vm, NULL));
	live_equal(live_stats(vm).budget_pages, (256 << 20) / LIVE_PAGE);
	live_ok(vvm_close(vm));
}
END_TEST

static atomic_bool cancelled, through;

/* A whole life of a space that pages, in a thread that has been cancelled. */
static void *call_all(void *arg)
{
	struct vvm_options o;
	struct vvm_probe probe;
	struct vvm *vm;
	char page[LIVE_PAGE];
	uint64_t at;
	char *p;

	(void)arg;
	while (!cancelled)
		sched_yield();
	live_ok(vvm_probe(&probe));
	live_options(&o, 32);
	live_ok(vvm_open(&vm, &o));
	p = live_map(vm, 100, LIVE_RW);
	at = (uint64_t)(uintptr_t)p;
	for (uint64_t i = 0; i < 100; i++) {
		live_fill(page, i, 1);
		live_ok(vvm_store(vm, at + i * LIVE_PAGE, page, LIVE_PAGE));
	}
	for (uint64_t i = 0; i < 100; i++) {
		live_ok(vvm_load(vm, at + i * LIVE_PAGE, page, LIVE_PAGE));
		live_equal(live_verify(page, i, 1), -1);
	}
	live_ok(vvm_unmap(vm, at, 100 * LIVE_PAGE));
	live_ok(vvm_close(vm));
	through = true;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	return NULL;
}

START_TEST(no_call_is_a_cancellation_point)
{
	pthread_t thread;
	void *result;

	live_ok(pthread_create(&thread, NULL, call_all, NULL));
	live_ok(pthread_cancel(thread));
	cancelled = true;
	live_ok(pthread_join(thread, &result));
	live_check(through && !result);
}
END_TEST

/* ---- permissions ---- */

/* From now on this system call fails with error. */
static bool forbid(unsigned nr, unsigned error)
{
	return refuse(nr, 0, 0, 0, error);
}

static void become_nobody(void)
{
	if (geteuid() == 0) {
		child_check(setgroups(0, NULL) == 0);
		child_check(setgid(65534) == 0);
		child_check(setuid(65534) == 0);
	}
	/* /proc/self belongs to root otherwise */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

/* Without a userfaultfd. */
static void page_guarded(const struct vvm_options *o)
{
	uint64_t addr = VVM_ANYWHERE;
	struct vvm *vm = NULL;
	struct vvm_stats st;
	volatile char *p;

	child_expect(vvm_open(&vm, o), 0);
	child_expect(vvm_map(vm, &addr, 64 * LIVE_PAGE, LIVE_RW, NULL), 0);
	p = vvm_ptr(vm, addr);
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < 64; i++) {
			child_check(p[i * LIVE_PAGE] ==
				    (char)(round ? round + i : 0));
			p[i * LIVE_PAGE] = (char)(round + i + 1);
		}
	child_expect(vvm_stats(vm, &st, sizeof(st)), 0);
	child_check(st.guard_faults == 1 && st.inline_faults == 1);
	child_check(st.peak_pages <= 16);
	child_check(!TEST_STATS || st.faults_swapin > 0);
	child_expect(vvm_close(vm), 0);
}

/* arg: the errno that userfaultfd(2) gives. */
static int open_without_userfaultfd(void *arg)
{
	int error = *(int *)arg;
	struct vvm_options o;
	struct vvm_probe probe;
	struct vvm *vm = NULL;

	become_nobody();
	if (!forbid(SYS_userfaultfd, (unsigned)error))
		return 0;
	child_check(access("/dev/userfaultfd", R_OK | W_OK) != 0);
	child_expect(vvm_options_init(&o), 0);
	o.stat_segment = 0;
	o.resident_bytes = 16 * LIVE_PAGE;
	o.faults = VVM_FAULTS_THREAD;
	child_expect(vvm_open(&vm, &o), -error);
	o.faults = VVM_FAULTS_INLINE;
	child_expect(vvm_open(&vm, &o), -error);
	child_expect(vvm_probe(&probe), 0);
	child_check(!(probe.flags & VVM_PROBE_PERMITTED));
	o.faults = VVM_FAULTS_AUTO;
	if (probe.flags & VVM_PROBE_GUARD) {
		child_check(probe.usable && !probe.error && !*probe.reason);
		page_guarded(&o);
		/* and neither way */
		child_check(setenv("VVM_INJECT", "@guard_install:1+:EINVAL",
				   1) == 0);
	}
	child_expect(vvm_open(&vm, &o), -error);
	o.faults = VVM_FAULTS_GUARD;
	child_expect(vvm_open(&vm, &o), -ENOSYS);
	child_expect(vvm_probe(&probe), 0);
	child_check(!probe.usable);
	child_check(probe.error == -error);
	child_check(probe.reason && probe.reason[0]);
	return 0;
}

START_TEST(open_where_userfaultfd_is_not_permitted)
{
	int error = EPERM;

	live_child_ok(open_without_userfaultfd, &error);
}
END_TEST

START_TEST(open_where_userfaultfd_does_not_exist)
{
	int error = ENOSYS;

	if (access("/dev/userfaultfd", F_OK) == 0)
		error = EPERM; /* there is a device, only not for nobody */
	if (error == ENOSYS)
		live_child_ok(open_without_userfaultfd, &error);
}
END_TEST

static int open_without_io_uring(void *arg)
{
	struct vvm_options *o = arg;
	struct vvm_probe probe;
	struct vvm_stats st;
	struct vvm *vm = NULL;
	uint64_t addr = VVM_ANYWHERE;
	volatile char *p;

	if (!forbid(SYS_io_uring_setup, EPERM))
		return 0;
	child_expect(vvm_probe(&probe), 0);
	child_check(probe.usable && !(probe.flags & VVM_PROBE_IO_URING));
	o->io = VVM_IO_URING;
	child_expect(vvm_open(&vm, o), -ENOSYS);
	o->io = VVM_IO_AUTO;
	child_expect(vvm_open(&vm, o), 0);
	child_expect(vvm_stats(vm, &st, sizeof st), 0);
	child_check(st.io_uring == 0);
	child_expect(vvm_map(vm, &addr, 64 * LIVE_PAGE, LIVE_RW, NULL), 0);
	p = vvm_ptr(vm, addr);
	for (int i = 0; i < 64; i++)
		p[i * LIVE_PAGE] = (char)(i + 1);
	for (int i = 0; i < 64; i++)
		child_check(p[i * LIVE_PAGE] == (char)(i + 1));
	child_expect(vvm_close(vm), 0);
	return 0;
}

START_TEST(open_where_io_uring_is_not_permitted)
{
	struct vvm_options o;

	live_options(&o, 8);
	live_child_ok(open_without_io_uring, &o);
}
END_TEST

/* Without privileges pointers work and system calls get EFAULT. */
static int open_as_nobody(void *arg)
{
	struct vvm_probe probe;
	struct vvm *vm = NULL;
	uint64_t addr = VVM_ANYWHERE;
	volatile char *p;
	int fds[2];

	become_nobody();
	child_expect(vvm_probe(&probe), 0);
	if (!probe.usable) {
		child_expect(vvm_open(&vm, arg), probe.error);
		return 0;
	}
	child_expect(vvm_open(&vm, arg), 0);
	child_expect(vvm_map(vm, &addr, 64 * LIVE_PAGE, LIVE_RW, NULL), 0);
	p = vvm_ptr(vm, addr);
	for (int i = 1; i < 64; i++)
		p[i * LIVE_PAGE] = (char)(i + 1);
	for (int i = 1; i < 64; i++)
		child_check(p[i * LIVE_PAGE] == (char)(i + 1));
	child_check(pipe(fds) == 0);
	if (probe.flags & VVM_PROBE_USER_ONLY ||
	    !(probe.flags & VVM_PROBE_PERMITTED)) {
		child_check(write(fds[1], (void *)p, 1) == -1);
		child_check(errno == EFAULT);
	} else {
		child_check(write(fds[1], (void *)p, 1) == 1);
	}
	child_expect(vvm_close(vm), 0);
	return 0;
}

START_TEST(open_without_privileges)
{
	struct vvm_options o;

	live_options(&o, 8);
	live_child_ok(open_as_nobody, &o);
}
END_TEST

/* ---- fork ---- */

struct forked {
	struct vvm *vm;
	char *p;
};

static enum vvm_verdict decline(struct vvm *vm, const struct vvm_fault *fault,
				void *arg)
{
	(void)vm, (void)fault, (void)arg;
	return VVM_DECLINE;
}

static void low(struct vvm *vm, const struct vvm_low_space *info, void *arg)
{
	(void)vm, (void)info, (void)arg;
}

static int call_everything(void *arg)
{
	struct forked *f = arg;
	struct vvm *vm = f->vm;
	uint64_t a = live_addr(f->p), out = VVM_ANYWHERE;
	struct vvm_region region;
	struct vvm_stats st;
	unsigned char byte[LIVE_PAGE] = "";

	child_expect(vvm_resize(vm, 1 << 20), -ECHILD);
	child_expect(vvm_map(vm, &out, LIVE_PAGE, LIVE_RW, NULL), -ECHILD);
	child_expect(vvm_unmap(vm, a, LIVE_PAGE), -ECHILD);
	child_expect(vvm_protect(vm, a, LIVE_PAGE, VVM_READ), -ECHILD);
	child_expect(vvm_advise(vm, a, LIVE_PAGE, VVM_ADV_DONTNEED), -ECHILD);
	child_expect(vvm_touch(vm, a, LIVE_PAGE, VVM_TOUCH_READ), -ECHILD);
	child_expect(vvm_pin(vm, a, LIVE_PAGE), -ECHILD);
	child_expect(vvm_unpin(vm, a, LIVE_PAGE), -ECHILD);
	child_expect(vvm_query(vm, a, &region), -ECHILD);
	child_expect(vvm_residency(vm, a, LIVE_PAGE, byte), -ECHILD);
	child_expect(vvm_addr(vm, f->p, &out), -ECHILD);
	child_expect(vvm_load(vm, a, byte, 1), -ECHILD);
	child_expect(vvm_store(vm, a, byte, 1), -ECHILD);
	child_expect(vvm_fetch_check(vm, a, 1), -ECHILD);
	child_expect(vvm_on_fault(vm, decline, NULL), -ECHILD);
	child_expect(vvm_on_low_space(vm, low, NULL), -ECHILD);
	child_expect(vvm_stats(vm, &st, sizeof st), -ECHILD);
	child_check(vvm_ptr(vm, a) == NULL);
	child_expect(vvm_close(vm), -ECHILD);
	return 0;
}

START_TEST(fork_child_gets_echild_from_every_function)
{
	struct forked f = {.vm = live_open(16)};

	f.p = live_map(f.vm, 64, LIVE_RW);
	for (uint64_t i = 0; i < 64; i++)
		live_fill(f.p + i * LIVE_PAGE, i, 3);
	live_child_ok(call_everything, &f);
	for (uint64_t i = 0; i < 64; i++) /* the parent noticed nothing */
		live_equal(live_verify(f.p + i * LIVE_PAGE, i, 3), -1);
	live_ok(vvm_close(f.vm));
}
END_TEST

static int touch_the_memory(void *arg)
{
	struct forked *f = arg;

	live_default_signals();
	return *(volatile char *)f->p ? 1 : 2;
}

START_TEST(fork_child_that_touches_the_memory_dies)
{
	struct forked f = {.vm = live_open(16)};
	int status;

	f.p = live_map(f.vm, 64, LIVE_RW);
	f.p[0] = 7;
	status = live_child(touch_the_memory, &f);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV,
		      "status %#x", (unsigned)status);
	f.p[63 * LIVE_PAGE] = 8;
	live_equal(f.p[0], 7);
	live_ok(vvm_close(f.vm));
}
END_TEST

static int touch_with_library_handlers(void *arg)
{
	struct forked *f = arg;

	return *(volatile char *)f->p ? 1 : 2;
}

/* The same where a fault callback's handlers are installed. */
START_TEST(fork_child_dies_with_a_fault_callback_too)
{
	struct forked f = {.vm = live_open(16)};
	int status;

	if (live_guarded()) { /* SIGSEGV is the library's, from the first */
		live_ok(vvm_close(f.vm));
		return;
	}
	live_default_signals();
	f.p = live_map(f.vm, 64, LIVE_RW);
	f.p[0] = 7;
	live_ok(vvm_on_fault(f.vm, decline, NULL));
	status = live_child(touch_with_library_handlers, &f);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV,
		      "status %#x", (unsigned)status);
	live_ok(vvm_close(f.vm));
}
END_TEST

static int use_a_space_of_its_own(void *arg)
{
	struct forked *f = arg;
	struct vvm_options o;
	struct vvm *vm = NULL;
	uint64_t addr = VVM_ANYWHERE;
	volatile char *p;

	child_expect(vvm_options_init(&o), 0);
	o.resident_bytes = 8 * LIVE_PAGE;
	o.stat_segment = 0;
	child_expect(vvm_open(&vm, &o), 0);
	child_expect(vvm_map(vm, &addr, 32 * LIVE_PAGE, LIVE_RW, NULL), 0);
	p = vvm_ptr(vm, addr);
	for (int i = 0; i < 32; i++)
		p[i * LIVE_PAGE] = (char)(i + 1);
	for (int i = 0; i < 32; i++)
		child_check(p[i * LIVE_PAGE] == (char)(i + 1));
	child_expect(vvm_unmap(f->vm, live_addr(f->p), LIVE_PAGE), -ECHILD);
	child_expect(vvm_close(vm), 0);
	return 0;
}

START_TEST(fork_child_may_open_its_own_space)
{
	struct forked f = {.vm = live_open(16)};

	f.p = live_map(f.vm, 64, LIVE_RW);
	f.p[0] = 7;
	live_child_ok(use_a_space_of_its_own, &f);
	live_equal(f.p[0], 7);
	live_ok(vvm_close(f.vm));
}
END_TEST

START_TEST(fork_and_exec_work)
{
	struct vvm *vm = live_open(16);
	char *p = live_map(vm, 64, LIVE_RW);
	char *argv[] = {"true", NULL};

	for (uint64_t i = 0; i < 64; i++) {
		pid_t pid;
		int status = -1;

		live_fill(p + i * LIVE_PAGE, i, 4);
		if (i % 16)
			continue;
		live_equal(
			posix_spawnp(&pid, "true", NULL, NULL, argv, environ),
			0);
		live_equal(waitpid(pid, &status, 0), pid);
		live_equal(status, 0);
		live_equal(system("exit 3"), 3 << 8);
	}
	for (uint64_t i = 0; i < 64; i++)
		live_equal(live_verify(p + i * LIVE_PAGE, i, 4), -1);
	live_ok(vvm_close(vm));
}
END_TEST

/* ---- several spaces ---- */

START_TEST(two_spaces_do_not_meet)
{
	struct vvm *one = live_open(8), *two = live_open(24);
	uint64_t same = 5 * LIVE_PAGE, there = same;
	char *p, *q;

	live_ok(vvm_map(one, &same, 64 * LIVE_PAGE, LIVE_RW, "one"));
	live_ok(vvm_map(two, &there, 64 * LIVE_PAGE, LIVE_RW, "two"));
	live_equal(same, there);
	p = vvm_ptr(one, same);
	q = vvm_ptr(two, same);
	live_check(p != q);
	for (uint64_t i = 0; i < 64; i++) {
		live_fill(p + i * LIVE_PAGE, i, 10);
		live_fill(q + i * LIVE_PAGE, i, 20);
	}
	for (uint64_t i = 0; i < 64; i++) {
		live_equal(live_verify(p + i * LIVE_PAGE, i, 10), -1);
		live_equal(live_verify(q + i * LIVE_PAGE, i, 20), -1);
	}
	live_check(live_stats(one).peak_pages <= 8);
	live_check(live_stats(two).peak_pages <= 24);
	live_expect(vvm_addr(one, q, &there), -VVM_EUNMAPPED);
	live_ok(vvm_close(one));
	for (uint64_t i = 0; i < 64; i++)
		live_equal(live_verify(q + i * LIVE_PAGE, i, 20), -1);
	live_ok(vvm_close(two));
}
END_TEST

/* ---- capabilities and texts ---- */

START_TEST(probe_agrees_with_itself)
{
	const unsigned events = VVM_PROBE_USERFAULTFD | VVM_PROBE_PERMITTED |
				VVM_PROBE_WP_SHMEM;
	struct vvm_probe probe;

	memset(&probe, 0x5a, sizeof probe);
	live_ok(vvm_probe(&probe));
	live_equal(probe.usable, 1); /* main() has asked */
	live_check(probe.flags & VVM_PROBE_PAGE_SIZE);
	live_check((probe.flags & events) == events ||
		   (probe.flags & VVM_PROBE_GUARD));
	live_equal(probe.error, 0);
	live_check(probe.reason != NULL);
	live_expect(vvm_probe(NULL), -EINVAL);
}
END_TEST

START_TEST(strerror_knows_every_code)
{
	const char *text;

#define X(name, value, what)     \
	live_equal(name, value); \
	ck_assert_str_eq(vvm_strerror(-value), what);
	VVM_ERRORS(X)
#undef X
	for (int e = -5000; e <= 5000; e++) {
		text = vvm_strerror(e);
		ck_assert_msg(text && *text, "no text for %d", e);
	}
	ck_assert_str_ne(vvm_strerror(-EINVAL), vvm_strerror(-ENOMEM));
	ck_assert_str_ne(vvm_strerror(0), vvm_strerror(-EINVAL));
}
END_TEST

START_TEST(version_is_the_headers)
{
	char text[32];

	snprintf(text, sizeof text, "%d.%d.%d", VVM_VERSION_MAJOR,
		 VVM_VERSION_MINOR, VVM_VERSION_PATCH);
	ck_assert_str_eq(vvm_version(), text);
}
END_TEST

static void add_options(Suite *s)
{
	TCase *tc = test_case(s, "options");

	tcase_add_test(tc, options_have_the_documented_defaults);
	tcase_add_test(tc, options_come_from_the_environment);
	tcase_add_test(tc, options_keep_their_strings_when_asked_again);
	tcase_add_loop_test(tc, options_refuse_nonsense_in_the_environment, 0,
			    (int)LIVE_LEN(nonsense));
	tcase_add_test(tc, open_refuses_options_out_of_range);
	tcase_add_test(tc, default_options_open);
}

static void add_swap(Suite *s)
{
	TCase *tc = test_case(s, "swap path");

	tcase_add_unchecked_fixture(tc, live_dir_make, live_dir_remove);
	tcase_add_test(tc, swap_in_a_directory_leaves_no_file);
	tcase_add_test(tc, swap_file_is_created_private_and_reused);
	tcase_add_test(tc, swap_path_errors);
	tcase_add_test(tc, swap_symlink_rules);
	tcase_add_test(tc, swap_file_in_use_is_busy);
	tcase_add_test(tc, swap_directory_without_permission);
	tcase_add_test(tc, swap_file_system_read_only_or_too_small);
	tcase_add_test(tc, swap_on_a_block_device);
}

static void add_open(Suite *s)
{
	TCase *tc = test_case(s, "open and close");

	tcase_add_test(tc, open_with_too_few_descriptors);
	tcase_add_test(tc, open_with_a_limit_on_file_sizes);
	tcase_add_test(tc, cycles_return_descriptors_threads_and_mappings);
	tcase_add_test(tc, close_null_is_fine);
	tcase_add_test(tc, close_with_regions_and_pins);
	test_counted(tc, statistics_file_lives_as_long_as_the_space);
	tcase_add_test(tc, no_call_is_a_cancellation_point);
	tcase_add_test(tc, every_io_engine_works);
	tcase_add_test(tc, inline_faults_work_or_are_refused);
	tcase_add_test(tc, open_where_userfaultfd_is_not_permitted);
	tcase_add_test(tc, open_where_userfaultfd_does_not_exist);
	tcase_add_test(tc, open_where_io_uring_is_not_permitted);
	tcase_add_test(tc, open_without_privileges);
	tcase_add_test(tc, two_spaces_do_not_meet);
}

static void add_fork(Suite *s)
{
	TCase *tc = test_case(s, "fork");

	tcase_add_test(tc, fork_child_gets_echild_from_every_function);
	tcase_add_test(tc, fork_child_that_touches_the_memory_dies);
	tcase_add_test(tc, fork_child_dies_with_a_fault_callback_too);
	if (!LIVE_TSAN) /* "dup thread": a new one has an old one's stack */
		tcase_add_test(tc, fork_child_may_open_its_own_space);
	tcase_add_test(tc, fork_and_exec_work);
}

static void add_texts(Suite *s)
{
	TCase *tc = test_case(s, "probe and texts");

	tcase_add_test(tc, probe_agrees_with_itself);
	tcase_add_test(tc, strerror_knows_every_code);
	tcase_add_test(tc, version_is_the_headers);
}

static void add_tests(Suite *s)
{
	add_options(s);
	add_swap(s);
	add_open(s);
	add_fork(s);
	add_texts(s);
}

const struct test_program test_program = {
	.name = "api_open",
	.add = add_tests,
	.missing = live_missing,
};
