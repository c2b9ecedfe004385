# columns(sample): name and type of each column of a data frame, and of those that have none in JSON why not.
function(sample) {
  zone_of <- function(x) {
    zone <- attr(x, "tzone")[1L]
    if (!is.null(zone) && !is.na(zone) && nzchar(zone)) return(zone)
    here <- suppressWarnings(Sys.timezone())  # a replica may be in another zone than the notebook
    if (is.na(here)) "UTC" else here
  }
  type_of <- function(x) {
    if (!is.null(dim(x))) return("")
    if (is.factor(x)) return("factor")
    if (inherits(x, "Date")) return("Date")
    if (inherits(x, "POSIXt")) return("POSIXct")
    if (is.object(x) && !identical(class(x), "AsIs")) return("")
    if (typeof(x) %in% c("integer", "double", "logical", "character")) typeof(x) else ""
  }
  class_of <- function(x) c(setdiff(class(x), "AsIs"), typeof(x))[1L]
  labels <- names(sample)
  types <- vapply(sample, type_of, "", USE.NAMES = FALSE)
  refused <- paste0("'", labels, "' (", vapply(sample, class_of, ""), ")")[types == ""]
  if (any(duplicated(labels) | !nzchar(labels))) refused <- c(refused, "columns without a name of their own")
  list(
    refused = refused, names = labels, types = types,
    levels = lapply(unname(as.list(sample)), function(x) as.character(levels(x))),
    ordered = vapply(sample, is.ordered, NA, USE.NAMES = FALSE),
    zones = vapply(sample, function(x) if (inherits(x, "POSIXt")) zone_of(x) else "", "", USE.NAMES = FALSE)
  )
}
