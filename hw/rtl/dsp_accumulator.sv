// The accumulator of a DSP, which adds up without a multiplier: sum_o is start_i, or the sum so far, plus value_i, from the
// next clock edge with valid_i on. All are numbers modulo 2^48.
//
// That is PCIN + (C or P) of a DSP48E1 and a DSP48E2 (UG479, UG579).
`default_nettype none

(* use_dsp = "yes" *)
module dsp_accumulator (
  input  wire        clk_i,

  input  wire        valid_i,
  input  wire        first_i,  // begin a sum
  input  wire [47:0] start_i,
  input  wire [47:0] value_i,

  output wire [47:0] sum_o
);

  logic [47:0] sum_q;
  always_ff @(posedge clk_i) if (valid_i) sum_q <= value_i + (first_i ? start_i : sum_q);
  assign sum_o = sum_q;

endmodule

`default_nettype wire
