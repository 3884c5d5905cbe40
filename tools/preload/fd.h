/* SPDX-License-Identifier: MIT */
/* fd.h - libvvm's descriptors among those of the program: see fd.c. */
#ifndef VVM_PRELOAD_FD_H
#define VVM_PRELOAD_FD_H

/* Keeps what a child will need that has lost its privileges. */
void fd_keep_device(void);

#endif
