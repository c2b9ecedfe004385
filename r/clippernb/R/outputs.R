# What a replica makes of the outputs of a function, as JSON: an element for each output. In Python the same is
# clipper_nb/model_functions/r_function.py.

json_outputs <- function(outputs) {
  rows <- json_parts(outputs)
  has_one_column <- length(dim(outputs)) == 2L && ncol(outputs) == 1L && !is.data.frame(outputs)
  if (has_one_column) json_elements(outputs) else rows
}

# A vector as its elements, a matrix as arrays, a data frame as objects.
json_parts <- function(value) {
  if (inherits(value, c("factor", "Date", "POSIXt"))) value <- as.character(value)
  if (is.data.frame(value)) {
    columns <- lapply(value, json_parts)
    members <- Map(function(name, parts) paste0(name, ":", parts), json_text(names(columns)), columns)
    return(if (nrow(value) == 0L) character() else paste0("{", do.call(paste, c(unname(members), sep = ",")), "}"))
  }
  nested(json_elements(value), if (length(dim(value)) > 1L) dim(value) else length(value))
}

nested <- function(elements, dims) {
  if (length(dims) == 1L) return(elements)
  by_row <- matrix(elements, nrow = dims[1L])
  vapply(seq_len(dims[1L]), function(row) json_array(nested(by_row[row, ], dims[-1L])), "")
}

json_elements <- function(value) {
  if (is.list(value)) return(vapply(unclass(value), json_element, "", USE.NAMES = FALSE))
  if (is.raw(value)) return(json_scalars(as.integer(value)))
  if (typeof(value) %in% c("double", "integer", "logical", "character")) return(json_scalars(as.vector(unclass(value))))
  stop("fn returned a value of type ", typeof(value), ", which has no form in JSON", call. = FALSE)
}

# An element of a list: a vector of one element is that element, and a list with names an object.
json_element <- function(value) {
  if (is.null(value)) return("null")
  parts <- json_parts(value)
  is_vector <- length(dim(value)) < 2L
  if (is.list(value) && is_vector && !is.null(names(value))) {
    return(paste0("{", paste(json_text(names(value)), parts, sep = ":", collapse = ","), "}"))
  }
  if (!is.list(value) && is_vector && length(parts) == 1L) parts else json_array(parts)
}
