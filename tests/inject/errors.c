/* SPDX-License-Identifier: MIT */
/*
 * inject/errors.c - what each system call may say no with: the errors of its
 * manual page, and of the kernel's source where that says more, as far as the
 * arguments that we give it allow them. The first one is the likeliest: the
 * short walk gives it to every use of the point.
 *
 * `once`: an answer that would be a lie if it were repeated for ever. EEXIST
 * for a page that is not there, EINTR without a signal, EAGAIN of a kernel that
 * is never again ready: whoever asks again, as it should, would ask for ever.
 *
 * A point without errors is not walked: UFFDIO_WAKE fails for wrong arguments,
 * and for nothing else.
 */
#include "inject/walk.h"

#include <errno.h>

#define ERRORS_MAX 12

/* What is not said is false. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/* clang-format off */
static const struct walk_error errors[WALK_POINTS][ERRORS_MAX] = {
	[OS_memfd] = {{EMFILE}, {ENFILE}, {ENOMEM}},
	[OS_reserve] = {{ENOMEM}, {EAGAIN}, {EPERM}},
	[OS_map] = {{ENOMEM}, {EAGAIN}, {ENFILE}},
	[OS_unmap] = {{ENOMEM}},
	[OS_unlock] = {{ENOMEM}, {EAGAIN}},
	[OS_protect] = {{ENOMEM}, {EACCES}},
	[OS_advise] = {{ENOMEM}, {EAGAIN}},
	[OS_punch] = {{ENOMEM}, {EPERM}, {ENOSPC}},
	[OS_frame_read] = {{ENOMEM}, {EIO}},
	[OS_frame_write] = {{ENOMEM}, {ENOSPC}, {EIO}},
	[OS_truncate] = {{EIO}, {EFBIG}, {EPERM}, {ENOSPC}, {ENOMEM}},
	[OS_pagemap] = {{ENOMEM}, {EMFILE}, {EACCES}, {EIO}, {EPERM}},
	[OS_uffd_open] = {{EMFILE}, {ENFILE}, {ENOMEM}, {EPERM}, {ENOSYS}},
	[OS_uffd_register] = {{ENOMEM}, {EINVAL}, {EBUSY}, {EPERM}},
	[OS_uffd_copy] = {{ENOMEM}, {EAGAIN}, {EEXIST, true}, {ENOENT, true},
			  {ESRCH, true}, {ENOSPC}, {EFAULT}},
	[OS_uffd_zero] = {{ENOMEM}, {EAGAIN}, {EEXIST, true}, {ENOENT, true},
			  {ESRCH, true}, {EFAULT}},
	[OS_uffd_wp] = {{ENOMEM}, {EAGAIN}, {ENOENT, true}, {EFAULT}},
	[OS_uffd_poison] = {{ENOMEM}, {EAGAIN}, {EEXIST, true}, {EOPNOTSUPP}},
	[OS_uffd_read] = {{EINTR, true}},
	[OS_open] = {{EMFILE}, {EACCES}, {ENOENT}, {EIO}, {ENOSPC}, {EDQUOT},
		     {EROFS}, {EPERM}, {ENXIO}, {ELOOP}, {ENOTDIR}},
	[OS_pread] = {{EIO}, {EAGAIN}, {EINTR, true}, {ENOMEM}, {ENXIO},
		      {EREMOTEIO}, {ESTALE}},
	[OS_pwrite] = {{EIO}, {ENOSPC}, {EDQUOT}, {EFBIG}, {EAGAIN},
		       {EINTR, true}, {ENOMEM}, {EPERM}, {EROFS}},
	[OS_fdatasync] = {{EIO}, {ENOSPC}, {EDQUOT}, {EROFS}},
	[OS_fallocate] = {{ENOSPC}, {EDQUOT}, {EFBIG}, {EIO}, {EOPNOTSUPP},
			  {ENOSYS}, {ENODEV}, {EPERM}},
	[OS_eventfd] = {{EMFILE}, {ENFILE}, {ENOMEM}, {ENODEV}},
	[OS_thread] = {{EAGAIN}},
	[OS_create] = {{EMFILE}, {EACCES}, {ENOSPC}, {EEXIST}, {ENOENT},
		       {EROFS}, {ENOMEM}},
	[OS_claim] = {{ENOLCK}, {EBUSY}, {ENOMEM}},
	[OS_read_text] = {{EMFILE}, {EACCES}, {ENOENT}, {EIO}},
	[OS_ring_setup] = {{ENOMEM}, {EPERM}, {ENOSYS}, {EMFILE}, {ENFILE}},
	[OS_pipe] = {{EMFILE}, {ENFILE}},
	[OS_epoll] = {{EMFILE}, {ENFILE}, {ENOMEM}},
	[OS_peek] = {{EPERM}, {EFAULT}, {ESRCH}},
	[OS_thread_fd] = {{EINVAL}, {EMFILE}, {ENOSYS}},
	[OS_epoll_add] = {{ENOMEM}, {ENOSPC}},
	[OS_poll] = {{ENOMEM}},
	[OS_futex] = {{EINTR, true}, {EAGAIN, true}},
	[OS_sigqueue] = {{EAGAIN, true}, {ESRCH, true}},
	[OS_ring_enable] = {{ENOMEM, true}, {EINTR, true}},
	[OS_ring_enter] = {{EAGAIN, true}, {EBUSY, true}, {EINTR, true},
			   {ENOMEM, true}},
	[OS_lock_file] = {{EBUSY}, {ENOLCK}},
	[OS_fd_info] = {{EIO}, {ENOMEM}, {EOVERFLOW}},
	[OS_file_info] = {{EACCES}, {ENOENT}, {ELOOP}, {ENOTDIR}, {ENOMEM},
			  {ENAMETOOLONG}, {EOVERFLOW}, {EIO}},
	[OS_free_space] = {{EIO}, {ENOSYS}, {ENOMEM}, {EOVERFLOW}},
	[OS_claimed] = {{ENOLCK}, {EBADF}},
	[OS_open_own] = {{EMFILE}, {EACCES}, {ENOENT}, {ELOOP}},
	[OS_list_dir] = {{EMFILE}, {EACCES}, {ENOENT}, {ENOMEM}},
	[OS_unlink] = {{EACCES}, {ENOENT}, {EIO}, {EROFS}},
	[OS_door] = {{EEXIST}, {ENOMEM}, {ENOTSUP}},
	[OS_filter] = {{EINVAL}, {EACCES}, {ENOMEM}, {EBUSY}, {EPERM}},
	[WALK_ALLOC] = {{ENOMEM}},
};
/* clang-format on */

static const char *const names[WALK_POINTS] = {
#define X(name) #name,
	OS_POINTS(X)
#undef X
		"alloc",
};

const struct walk_error *walk_errors(unsigned point)
{
	return errors[point];
}

const char *walk_point_name(unsigned point)
{
	return names[point];
}
