/* SPDX-License-Identifier: MIT */
/*
 * support/container.h - the system calls of a default container.
 */
#ifndef VVM_CONTAINER_H
#define VVM_CONTAINER_H

/*
 * From now on this process and its children get from the kernel what a process
 * in a container gets that Docker or Podman made with its default profile and
 * without capabilities. NULL, or why that cannot be had here.
 */
const char *container_filter(void);

#endif
