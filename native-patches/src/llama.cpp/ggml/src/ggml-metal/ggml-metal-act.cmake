# Our op in ggml-metal: its kernels go into the host's source as one string, because they are compiled apart from ggml-metal's own.

set(ACT_SOURCE "")
foreach(file ggml-metal-act-impl.h kernels/act-tile.metal kernels/act-stages.metal kernels/act.metal)
    file(READ "${CMAKE_CURRENT_LIST_DIR}/${file}" text)
    string(APPEND ACT_SOURCE "R\"act(${text})act\"\n")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${CMAKE_CURRENT_LIST_DIR}/${file}")
endforeach()
file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/ggml-metal-act-source.inc" "${ACT_SOURCE}")

target_sources(ggml-metal PRIVATE "${CMAKE_CURRENT_LIST_DIR}/ggml-metal-act.cpp")
target_include_directories(ggml-metal PRIVATE "${CMAKE_CURRENT_BINARY_DIR}")
