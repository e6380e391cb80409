# The files of the op and of its gradient, for ggml-cpu/CMakeLists.txt.
list(APPEND GGML_CPU_SOURCES
    ggml-cpu/act/act.cpp
    ggml-cpu/act/act.h
    ggml-cpu/act/blocks.cpp
    ggml-cpu/act/correct.cpp
    ggml-cpu/act/few.cpp
    ggml-cpu/act/layout.h
    ggml-cpu/act/matrix.cpp
    ggml-cpu/act/operands.h
    ggml-cpu/act/scores.cpp
    ggml-cpu/act/scores.h
    ggml-cpu/act/select.cpp
    ggml-cpu/act/stages.h
    ggml-cpu/act/vectors.h
    ggml-cpu/act-back/attention.cpp
    ggml-cpu/act-back/back.h
    ggml-cpu/act-back/gemm.h
    ggml-cpu/act-back/products.cpp
    )
