# Makes ACT_PATCHED from ACT_UPSTREAM: what scripts/native/patches.ts does for the engine's build, for people without Node.

if (NOT ACT_UPSTREAM)
    message(FATAL_ERROR "Set ACT_UPSTREAM to llama.cpp (a clone at the version that node-llama-cpp in package.json bundles, or its llama/gitRelease.bundle).")
endif()
get_filename_component(ACT_UPSTREAM "${ACT_UPSTREAM}" ABSOLUTE)
get_filename_component(NATIVE "${CMAKE_CURRENT_LIST_DIR}/../../native-patches" ABSOLUTE)

function(act_git)
    execute_process(COMMAND git ${ARGN} RESULT_VARIABLE code ERROR_VARIABLE said)
    if (NOT code EQUAL 0)
        message(FATAL_ERROR "git ${ARGN}: ${said}")
    endif()
endfunction()

if (NOT EXISTS "${ACT_PATCHED}/.git")
    act_git(clone --quiet "${ACT_UPSTREAM}" "${ACT_PATCHED}")
endif()
act_git(-C "${ACT_PATCHED}" reset --quiet --hard)

# node-llama-cpp's own patches lie beside its bundle
get_filename_component(BESIDE "${ACT_UPSTREAM}" DIRECTORY)
file(GLOB THEIRS "${BESIDE}/patches/*.patch" "${BESIDE}/patches/*.diff")
file(STRINGS "${NATIVE}/list" LINES REGEX "^llama\\.cpp/")
list(TRANSFORM LINES PREPEND "${NATIVE}/")
foreach(patch ${THEIRS} ${LINES})
    act_git(-C "${ACT_PATCHED}" apply --whitespace=nowarn "${patch}")
endforeach()
file(COPY "${NATIVE}/src/llama.cpp/" DESTINATION "${ACT_PATCHED}")
