// One of up to four values, combinational: a look-up table a bit.
//
// It is a module so that synthesis with the hierarchy kept finds these tables. A choice among sixteen values, of five tables
// a bit when it is written as five of these, was nine when it was written as one.
//
// Count: values, at least 1 and at most 4.
// Width: bits of a value.
`default_nettype none

module lane_choice #(
  parameter int unsigned Count = 4,
  parameter int unsigned Width = 8
) (
  input  wire [1:0]             which_i,
  input  wire [Count*Width-1:0] values_i,
  output wire [Width-1:0]       value_o
);

  if (Count < 1 || Count > 4 || Width < 1) begin : gen_check
    $error("%m: Count must be in 1 to 4, and Width at least 1");
  end

  wire [Width-1:0] values[4];
  for (genvar v = 0; v < 4; v++) begin : gen_value
    if (v < Count) begin : gen_given
      assign values[v] = values_i[v*Width+:Width];
    end else begin : gen_none
      assign values[v] = values_i[Width-1:0];
    end
  end
  assign value_o = values[which_i];

endmodule

`default_nettype wire
