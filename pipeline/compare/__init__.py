from pipeline.tools.packages import require_extra

require_extra("compare", "distributed", "plotly")
