# cmake -DIN=page/index.html -DOUT=page_data.c -P page.cmake: the page as constant C data: its bytes, the same in gzip, a tag of its contents, and the
# content security policy that lets its one script and its one style run, by their hashes, and nothing else.

function(c_bytes out name hex)
  string(REPEAT "." 64 line)
  string(REGEX REPLACE "(${line})" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  set(${out} "static const unsigned char ${name}[] = {\n${bytes}\n};\n" PARENT_SCOPE)
endfunction()

# The 64 hexadecimal digits of a SHA-256 in base64: 32 bytes are 43 characters and a sign of padding.
function(base64 out hex)
  set(alphabet ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/)
  set(text "")
  foreach(i RANGE 0 60 6)
    string(SUBSTRING "${hex}00" ${i} 6 group)
    math(EXPR value "0x${group}")
    foreach(shift 18 12 6 0)
      math(EXPR digit "(${value} >> ${shift}) & 63")
      string(SUBSTRING ${alphabet} ${digit} 1 letter)
      string(APPEND text ${letter})
    endforeach()
  endforeach()
  string(SUBSTRING ${text} 0 43 text)
  set(${out} "${text}=" PARENT_SCOPE)
endfunction()

# The hash of what stands between <TAG> and </TAG>, as a policy names it.
function(hash_of out tag page)
  string(FIND "${page}" "<${tag}>" from)
  string(FIND "${page}" "</${tag}>" to)
  string(LENGTH "<${tag}>" skip)
  math(EXPR from "${from} + ${skip}")
  math(EXPR length "${to} - ${from}")
  if(length LESS 0)
    message(FATAL_ERROR "${IN}: no <${tag}> element")
  endif()
  string(SUBSTRING "${page}" ${from} ${length} content)
  string(SHA256 hex "${content}")
  base64(hash ${hex})
  set(${out} "'sha256-${hash}'" PARENT_SCOPE)
endfunction()

file(READ ${IN} page)
hash_of(script script "${page}")
hash_of(style style "${page}")
file(SHA256 ${IN} tag)
string(SUBSTRING ${tag} 0 16 tag)
file(ARCHIVE_CREATE OUTPUT ${OUT}.gz PATHS ${IN} FORMAT raw COMPRESSION GZip COMPRESSION_LEVEL 9)
file(READ ${IN} html HEX)
file(READ ${OUT}.gz gzip HEX)
string(SUBSTRING ${gzip} 0 8 head)
string(SUBSTRING ${gzip} 16 -1 rest)
set(gzip ${head}00000000${rest}) # no time in its head: the same page gives the same program
c_bytes(html html ${html})
c_bytes(gzip gzip ${gzip})
file(REMOVE ${OUT}.gz)
file(WRITE ${OUT} "/* Made by cmake/page.cmake from ${IN}. */
#include \"page.h\"

${html}${gzip}const struct page page = {html, sizeof html, gzip, sizeof gzip, \"\\\"${tag}\\\"\",
    \"default-src 'none'; script-src ${script}; style-src ${style}; img-src data:; connect-src 'self'\"};
")
