# restore(serialized): the function that capture.R has captured, with its globals and methods where it finds them.
function(serialized) {
  no_text <- structure(list2env(list(filename = "", wd = "", Enc = "unknown")), class = "srcfile")
  restored <- unserialize(serialized, refhook = function(name) no_text)
  seen <- list()

  # A data.table that was read has no room for further columns, which := and set() need.
  with_room <- function(x) {
    if (inherits(x, "data.table")) return(data.table::setalloccol(x))
    if (is.environment(x)) renew_variables(x)
    else if (is.function(x) && !is.primitive(x)) renew_variables(environment(x))
    else if (is.list(x)) x <- renew_elements(x)
    x
  }

  renew_elements <- function(x) {
    classes <- oldClass(x)
    is_changed <- FALSE
    for (i in seq_along(x)) {
      element <- .subset2(x, i)
      if (!is.list(element) && !is.environment(element) && !is.function(element)) next
      renewed <- with_room(element)
      if (!is.list(element) || !holds_table(element)) next
      oldClass(x) <- NULL
      x[[i]] <- renewed
      is_changed <- TRUE
    }
    if (is_changed) oldClass(x) <- classes
    x
  }

  holds_table <- function(x) inherits(x, "data.table") || (is.list(x) && any(vapply(unclass(x), holds_table, NA)))

  renew_variables <- function(e) {
    is_shared <- isNamespace(e) || identical(e, globalenv()) || identical(e, baseenv()) || identical(e, emptyenv())
    if (is_shared || nzchar(environmentName(e)) || any(vapply(seen, identical, NA, e))) return()
    seen[[length(seen) + 1L]] <<- e
    for (name in Filter(function(name) !bindingIsActive(name, e), ls(e, all.names = TRUE))) {
      x <- e[[name]]
      if (identical(x, quote(expr = ))) next
      renewed <- with_room(x)
      if (is.list(x) && holds_table(x)) assign(name, renewed, envir = e)
    }
    renew_variables(parent.env(e))
  }

  if (isNamespaceLoaded("data.table")) restored <- with_room(restored)
  list2env(restored$globals, globalenv())
  # As when a package is attached: R finds classes and methods by their hidden variables from here on.
  if (any(grepl("^[.]__[CT]__", names(restored$globals)))) methods::cacheMetaData(globalenv(), TRUE)
  for (each in restored$methods) {
    home <- if (nzchar(each$package)) asNamespace(each$package) else globalenv()
    if (is.null(home[[".__S3MethodsTable__."]])) assign(".__S3MethodsTable__.", new.env(), envir = home)
    assign(each$name, each$method, envir = home[[".__S3MethodsTable__."]])
  }
  restored$fn
}
