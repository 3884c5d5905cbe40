/* SPDX-License-Identifier: MIT */
#include "space/faults.h"

#include <errno.h>

#include "os/os.h"
#include "util/log.h"

static bool can_page(unsigned features)
{
	return (features & OS_UFFD_SHMEM) && (features & OS_UFFD_WP_SHMEM);
}

int faults_choose(struct conf *conf)
{
	enum os_uffd_method method;
	unsigned features = 0;
	int rc, guard = -ENOTSUP;

	if (conf->faults == VVM_FAULTS_GUARD) {
		rc = os_guard_probe();
		if (rc == -ENOSYS)
			log_error("faults=guard: this kernel has no guard "
				  "pages of files (Linux 6.15)");
		return rc;
	}
	if (conf->faults != VVM_FAULTS_AUTO)
		return 0;
	rc = os_uffd_probe(&features, &method);
	if (rc == 0 && can_page(features)) {
		conf->faults = VVM_FAULTS_THREAD;
		return 0;
	}
	if (rc == 0)
		rc = -ENOSYS;
	if (rc != -EPERM && rc != -ENOSYS)
		return rc; /* no descriptors, no memory */
#if defined(__x86_64__)
	guard = os_guard_probe();
#endif
	if (guard == 0) {
		conf->faults = VVM_FAULTS_GUARD;
		return 0;
	}
	log_error("neither way to take page faults works: userfaultfd(2), "
		  "/dev/userfaultfd and UFFD_USER_MODE_ONLY: %s; guard pages "
		  "(Linux 6.15): error %d. vvmstat --doctor says more",
		  rc == -EPERM ? "not permitted" : "not in this kernel",
		  -guard);
	return rc;
}
