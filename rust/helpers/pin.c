// SPDX-License-Identifier: GPL-2.0

#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/shmem_fs.h>

__rust_helper bool rust_helper_PageAnon(const struct page *page)
{
	return PageAnon(page);
}

/* The folios that gup_fast_folio_allowed() refuses to pin for long, to write to. */
__rust_helper bool rust_helper_page_tracks_dirty(struct page *page)
{
	struct folio *folio = page_folio(page);
	struct address_space *mapping;

	if (folio_test_hugetlb(folio))
		return false;
	/* Inodes are freed under RCU */
	guard(rcu)();
	mapping = READ_ONCE(folio->mapping);
	if ((unsigned long)mapping & FOLIO_MAPPING_FLAGS)
		return !folio_test_anon(folio);
	return !mapping || !shmem_mapping(mapping);
}

/*
 * For folios that are not of a file system that tracks them: as the operations of
 * all others do, whose mapping may be gone.
 */
__rust_helper void rust_helper_page_mark_dirty(struct page *page)
{
	noop_dirty_folio(NULL, page_folio(page));
}

__rust_helper void rust_helper_page_report_poison(struct page *page)
{
	if (!PageHWPoison(page))
		memory_failure_queue(page_to_pfn(page), 0);
}

#ifndef CONFIG_HIGHMEM
__rust_helper void *rust_helper_page_address(const struct page *page)
{
	return page_address(page);
}
#endif
