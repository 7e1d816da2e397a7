// SPDX-License-Identifier: GPL-2.0

#include <linux/mm.h>

__rust_helper bool rust_helper_PageAnon(const struct page *page)
{
	return PageAnon(page);
}

#ifndef CONFIG_HIGHMEM
__rust_helper void *rust_helper_page_address(const struct page *page)
{
	return page_address(page);
}
#endif
