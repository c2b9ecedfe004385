// Wide tables scroll, also with the keyboard: the theme wraps each when its page is shown.
new MutationObserver(() => {
  for (const table of document.querySelectorAll(".md-typeset__scrollwrap")) table.tabIndex = 0
}).observe(document.documentElement, { childList: true, subtree: true })
