# plain(returned, inputs): what a function returned for `inputs`, made of what has JSON: NULL, logical, integer, double and
# character vectors without attributes (one element is that element), matrices of them, lists (arrays, or objects if they
# have names), lists of columns of class "rows", and character vectors of class "whole", whole numbers by their digits.
# Replicas and the R package use it.
local({
  refuse <- function(what, advice) stop("The R function returned ", what, "; return ", advice, ".", call. = FALSE)

  no_json <- list(
    raw = "as.integer(x), or base64 text", complex = "c(Re(z), Im(z))", closure = "what it returns, f(x)",
    builtin = "what it returns, f(x)", special = "what it returns, f(x)", environment = "as.list(x), or its numbers and texts",
    S4 = "its slots, as in list(x@a, x@b), or as.matrix(x)", language = "text: deparse(x)", symbol = "text: deparse(x)",
    expression = "text: deparse(x)", externalptr = "the numbers and texts that it stands for"
  )
  times_of_packages <- c("yearmon", "yearqtr", "chron", "dates", "times", "ITime")

  # R writes years before 1000 with fewer digits.
  four_digits <- function(text) {
    for (missing in 1:3) text <- sub("^([0-9]{1,3})-", "0\\1-", text)
    text
  }

  iso_date <- function(x) {
    days <- as.numeric(x)
    text <- four_digits(format(.Date(days), "%Y-%m-%d"))
    text[!is.finite(days)] <- NA
    text
  }

  iso_time <- function(x) {
    x <- as.POSIXct(x)
    zone <- attr(x, "tzone")[1L]
    if (is.null(zone) || is.na(zone) || !nzchar(zone)) zone <- "UTC"  # an instant without a zone of its own
    micros <- round(as.numeric(unclass(x)) * 1e6)
    whole <- .POSIXct(floor(micros / 1e6), zone)
    fraction <- ifelse(micros %% 1e6 == 0, "", sprintf(".%06.0f", micros %% 1e6))
    offset <- sub("(..)$", ":\\1", format(whole, "%z"))
    text <- paste0(four_digits(format(whole, "%Y-%m-%dT%H:%M:%S")), fraction, ifelse(offset == "+00:00", "Z", offset))
    text[!is.finite(micros)] <- NA
    text
  }

  # bit64's integers have the bits of a double; its package need not be installed.
  whole_digits <- function(x) {
    words <- readBin(writeBin(as.vector(unclass(x)), raw(), endian = "little"), "integer", 4L * length(x), size = 2L,
                     signed = FALSE, endian = "little")
    words <- matrix(words, nrow = 4L)
    is_na <- colSums(abs(words - c(0, 0, 0, 32768))) == 0
    is_negative <- words[4L, ] >= 32768
    words[, is_negative] <- 65535 - words[, is_negative]
    limbs <- matrix(0, 4L, length(x))  # of a million each, the last one first
    for (word in 4:1) {
      carry <- words[word, ] + (word == 1L) * is_negative
      for (limb in 1:4) {
        sum <- limbs[limb, ] * 65536 + carry
        limbs[limb, ] <- sum %% 1e6
        carry <- sum %/% 1e6
      }
    }
    digits <- sub("^0+(?=.)", "", do.call(paste0, lapply(4:1, function(limb) sprintf("%06.0f", limbs[limb, ]))), perl = TRUE)
    structure(ifelse(is_na, NA, paste0(ifelse(is_negative, "-", ""), digits)), class = "whole")
  }

  # A vector without attributes, or of class "whole".
  values <- function(x) {
    if (is.null(attributes(x)) && typeof(x) %in% c("double", "integer", "logical", "character")) return(x)
    if (is.factor(x)) as.character(x)
    else if (inherits(x, "POSIXt")) iso_time(x)
    else if (inherits(x, "Date")) iso_date(x)
    else if (inherits(x, "difftime")) {
      as.vector(unclass(x)) * c(secs = 1, mins = 60, hours = 3600, days = 86400, weeks = 604800)[[attr(x, "units")]]
    }
    else if (inherits(x, "integer64")) whole_digits(x)
    else if (inherits(x, times_of_packages)) refuse(paste("a", class(x)[1L]), "as.POSIXct(x), as.Date(x) or format(x)")
    else if (!isS4(x) && typeof(x) %in% c("double", "integer", "logical", "character")) as.vector(unclass(x))
    else {
      kind <- if (isS4(x)) "S4" else typeof(x)
      what <- if (kind == "closure") "a function" else paste("a value of type", kind)
      name <- if (is.object(x)) paste0(" (", class(x)[1L], ")") else ""
      refuse(paste0(what, name, ", which has no JSON"), if (is.null(no_json[[kind]])) "a number or text" else no_json[[kind]])
    }
  }

  with_dim <- function(plain, dims) {
    dim(plain) <- dims
    plain
  }

  each <- function(plain) {
    if (inherits(plain, "whole")) lapply(unclass(plain), structure, class = "whole") else as.list(plain)
  }

  named <- function(parts, labels) {
    labels[is.na(labels)] <- "NA"
    twice <- labels[duplicated(labels)]
    if (length(twice)) refuse(paste0("two values with the name '", twice[1L], "'"), "names that differ, or unname(x)")
    names(parts) <- labels
    parts
  }

  # predict() names what it returns after rows.
  are_rows <- function(labels) {
    identical(labels, as.character(seq_along(labels))) || (length(labels) == 1L && grepl("^[0-9]+$", labels))
  }

  is_vector_of_values <- function(x) !is.list(x) || inherits(x, "POSIXlt") || isS4(x)

  part <- function(x) {
    if (is.null(x)) return(NULL)
    if (is.null(attributes(x)) && is.atomic(x)) return(if (is.raw(x) || is.complex(x)) values(x) else x)
    if (is.data.frame(x)) return(rows_of(x))
    if (inherits(x, "numeric_version")) return(as.character(x))
    if (is_vector_of_values(x)) return(part_of_values(x))
    if (length(dim(x)) == 2L) return(rows_of_lists(x))
    parts <- lapply(unclass(x), part)
    labels <- names(unclass(x))  # which a class may hide
    attributes(parts) <- NULL
    if (is.null(labels)) parts else named(parts, labels)
  }

  part_of_values <- function(x) {
    plain <- values(x)
    if (length(dim(x)) > 1L) {
      return(if (inherits(x, "table")) by_names(each(plain), dim(x), dimnames(x)) else with_dim(plain, dim(x)))
    }
    labels <- if (inherits(x, "POSIXlt")) NULL else names(x)
    if (inherits(x, "table") || (!is.null(labels) && !are_rows(labels))) return(named(each(plain), as.character(labels)))
    if (inherits(x, "AsIs") && length(plain) == 1L) list(plain) else plain
  }

  # A table of several dimensions as objects in objects.
  by_names <- function(parts, dims, labels) {
    if (length(dims) == 1L) return(named(parts, labels[[1L]]))
    row <- rep_len(seq_len(dims[1L]), length(parts))
    named(lapply(seq_len(dims[1L]), function(i) by_names(parts[row == i], dims[-1L], labels[-1L])), labels[[1L]])
  }

  # A matrix of lists, as sapply() makes of records.
  rows_of_lists <- function(x) {
    x <- unclass(x)
    lapply(seq_len(nrow(x)), function(i) lapply(unname(x[i, ]), part))
  }

  column <- function(x) {
    if (is.data.frame(x)) return(rows_of(x))
    if (inherits(x, "numeric_version")) return(as.character(x))
    if (is.list(x) && length(dim(x)) == 2L) return(if (ncol(x) == 1L) lapply(x[, 1L], part) else rows_of_lists(x))
    if (!is_vector_of_values(x)) return(lapply(unname(unclass(x)), part))
    if (length(dim(x)) > 1L) with_dim(values(x), dim(x)) else values(x)
  }

  rows_of <- function(frame) {
    columns <- named(lapply(unname(unclass(frame)), column), names(frame))
    structure(columns, class = "rows", num_rows = .row_names_info(frame, 2L))
  }

  # The names of a list come from its inputs, or it is one answer and no list of them.
  check_names <- function(x, inputs) {
    labels <- names(x)
    if (is.null(labels) || are_rows(labels)) return()
    asked <- unlist(lapply(inputs, as.character))
    if (!all(labels %in% asked)) {
      refuse(
        paste0("a list with the names ", paste(utils::head(labels, 3L), collapse = ", "), if (length(labels) > 3L) ", ..."),
        "a list with one output per input: data.frame() of columns, or unname(x) where it is one"
      )
    }
  }

  numbers_of_rows <- function(x) {
    if (is.data.frame(x)) attr(x, "row.names")
    else if (length(dim(x)) == 2L) rownames(x)
    else if (!inherits(x, "POSIXlt") && !isS4(x)) names(x)
  }

  # A sorted or grouped frame keeps the numbers of its rows, and predict() names its answers after them.
  check_order <- function(x, inputs) {
    labels <- as.character(numbers_of_rows(x))
    in_order <- as.character(seq_along(labels))
    if (!length(labels) || identical(labels, in_order) || !setequal(labels, in_order)) return()
    if (!is.data.frame(inputs) && identical(labels, as.character(unlist(inputs)))) return()  # sapply() names them so
    by_number <- if (length(dim(x)) == 2L) c("x[order(as.integer(rownames(x))), , drop = FALSE]", "rownames(x) <- NULL")
                 else c("x[order(as.integer(names(x)))]", "unname(x)")
    refuse(
      paste0("the numbers of the inputs in another order (", paste(utils::head(labels, 5L), collapse = ", "),
             if (length(labels) > 5L) ", ...", "), as of a frame that was sorted"),
      paste0("the answers in the order of the inputs: ", by_number[1L], ", or ", by_number[2L],
             " if they are in that order and the names mean something else")
    )
  }

  function(returned, inputs) {
    if (is.null(returned)) refuse("NULL", "a list or vector with one output per input")
    if (inherits(returned, "table")) refuse("a table, which is one answer", "list(x) for one input, or one table per input")
    check_order(returned, inputs)
    if (!is_vector_of_values(returned) && !is.data.frame(returned)) check_names(returned, inputs)
    column(returned)
  }
})
