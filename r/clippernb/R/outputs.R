# What a replica makes of the outputs of a function, as JSON: an element for each output. The session's `plain` has made
# them of few types; in Python clipper_nb/model_functions/r_function.py does the same.

json_outputs <- function(plain) {
  has_one_column <- length(dim(plain)) == 2L && ncol(plain) == 1L
  if (has_one_column) json_elements(plain) else json_parts(plain)
}

# A vector as its elements, a matrix as arrays, rows as objects.
json_parts <- function(plain) {
  if (inherits(plain, "rows")) return(json_objects(unclass(plain), attr(plain, "num_rows")))
  if (is.list(plain)) return(vapply(plain, json_element, "", USE.NAMES = FALSE))
  nested(json_elements(plain), if (length(dim(plain)) > 1L) dim(plain) else length(plain))
}

json_objects <- function(columns, num_rows) {
  members <- Map(function(name, parts) paste0(name, ":", parts), json_text(as.character(names(columns))),
                 lapply(unname(columns), json_parts))
  if (length(columns) == 0L) rep("{}", num_rows)
  else if (num_rows == 0L) character()
  else paste0("{", do.call(paste, c(unname(members), sep = ",")), "}")
}

nested <- function(elements, dims) {
  if (length(dims) == 1L) return(elements)
  by_row <- matrix(elements, nrow = dims[1L])
  vapply(seq_len(dims[1L]), function(row) json_array(nested(by_row[row, ], dims[-1L])), "")
}

json_elements <- function(plain) {
  if (!inherits(plain, "whole")) return(json_scalars(as.vector(plain)))
  digits <- as.vector(unclass(plain))
  size <- sub("-", "", digits, fixed = TRUE)
  is_exact <- nchar(size) < 16L | (nchar(size) == 16L & size <= "9007199254740992")  # 2^53, above which readers round
  ifelse(is.na(digits), "null", ifelse(is_exact, digits, json_text(digits)))
}

# An element of a list: a vector of one element is that element, and a list with names an object.
json_element <- function(plain) {
  if (is.null(plain)) return("null")
  parts <- json_parts(plain)
  if (is.list(plain) && !inherits(plain, "rows") && !is.null(names(plain))) {
    members <- if (length(parts)) paste(json_text(names(plain)), parts, sep = ":", collapse = ",")
    return(paste0("{", members, "}"))
  }
  if (!is.list(plain) && length(dim(plain)) < 2L && length(parts) == 1L) parts else json_array(parts)
}
