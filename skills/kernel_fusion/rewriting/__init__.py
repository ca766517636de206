"""Operations in a traced graph for which there are kernels, and putting the kernels in."""
