# JSON that is written: doubles keep all their digits, which jsonlite::toJSON() does not give them.

as_json <- function(x) {
  if (is.null(x)) return("null")
  if (inherits(x, "json")) return(unclass(x))
  if (inherits(x, "AsIs") || (is.list(x) && is.null(names(x)))) {
    return(json_array(vapply(as.list(unclass(x)), as_json, "")))
  }
  if (is.list(x)) {
    if (anyDuplicated(names(x)) || any(!nzchar(names(x)))) stop("every argument needs a name of its own", call. = FALSE)
    return(paste0("{", paste(json_text(names(x)), vapply(x, as_json, ""), sep = ":", collapse = ","), "}"))
  }
  if (length(x) != 1L || is.na(x)) stop("one value is wanted here, not ", deparse(x, nlines = 1L), call. = FALSE)
  json_scalars(x)
}

json_array <- function(elements) paste0("[", paste(elements, collapse = ","), "]")

# Each element of a vector as a JSON value; NA is null.
json_scalars <- function(x) {
  encoded <- if (is.logical(x)) tolower(as.character(x))
    else if (is.integer(x)) sprintf("%d", x)
    else if (is.numeric(x)) json_numbers(x)
    else json_text(as.character(x))
  is_nan <- if (is.numeric(x)) is.nan(x) else FALSE
  ifelse(is.na(x) & !is_nan, "null", encoded)
}

json_numbers <- function(x) {
  encoded <- sprintf("%.17g", x)
  encoded[is.nan(x)] <- "NaN"
  encoded[is.infinite(x)] <- ifelse(x[is.infinite(x)] > 0, "Infinity", "-Infinity")
  encoded
}

json_text <- function(x) {
  different <- unique(x)
  encoded <- vapply(enc2utf8(different), function(one) as.character(jsonlite::toJSON(jsonlite::unbox(one))), "")
  unname(encoded)[match(x, different)]
}

# A value of JSON: a list with names is an object, a vector of one element a scalar unless it is I(x).
json_value <- function(x) {
  if (is.null(x)) return("null")
  if (is.data.frame(x)) return(json_array(json_rows(x)))
  if (is.list(x)) {
    parts <- vapply(unclass(x), json_value, "", USE.NAMES = FALSE)
    if (is.null(names(x))) return(json_array(parts))
    if (anyDuplicated(names(x)) || any(!nzchar(names(x)))) stop("every member of an object needs a name of its own", call. = FALSE)
    return(paste0("{", paste(json_text(names(x)), parts, sep = ":", collapse = ","), "}"))
  }
  is_one <- length(x) == 1L && !inherits(x, "AsIs")
  if (inherits(x, "AsIs")) class(x) <- setdiff(class(x), "AsIs")
  parts <- json_cells(x)
  if (is_one) parts else json_array(parts)
}

# Each row of a data frame as a JSON object.
json_rows <- function(frame) {
  columns <- lapply(frame, json_cells)
  members <- Map(function(name, values) paste0(name, ":", values), json_text(names(columns)), columns)
  if (nrow(frame) == 0L) character() else paste0("{", do.call(paste, c(unname(members), sep = ",")), "}")
}

json_cells <- function(x) {
  if (inherits(x, "Date")) json_scalars(format(x, "%Y-%m-%d"))
  else if (inherits(x, "POSIXt")) json_scalars(json_time(x))
  else if (is.factor(x)) json_scalars(as.character(x))
  else if (is.atomic(x) && is.null(dim(x)) && !is.object(x) && !is.raw(x) && !is.complex(x)) json_scalars(x)
  else stop("a value of class ", class(x)[1L], " has no form in JSON", call. = FALSE)
}

# In UTC, to the microsecond.
json_time <- function(x) {
  x <- as.POSIXct(x)
  micros <- round(as.numeric(x) * 1e6)
  encoded <- paste0(
    format(.POSIXct(floor(micros / 1e6), "UTC"), "%Y-%m-%dT%H:%M:%S"), sprintf(".%06.0fZ", micros %% 1e6)
  )
  encoded[is.na(x)] <- NA
  encoded
}
