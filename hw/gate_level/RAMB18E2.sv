// The 18 Kb block RAM of UltraScale (UG573); see block_ram. INIT and INITP hold INIT_00 and INITP_00 in their lowest bits.
`default_nettype none

module RAMB18E2 #(
  parameter bit [16383:0] INIT = '0,
  parameter bit [2047:0] INITP = '0,
  parameter bit [71:0] INIT_A = '0,
  parameter bit [71:0] INIT_B = '0,
  parameter bit [71:0] SRVAL_A = '0,
  parameter bit [71:0] SRVAL_B = '0,
  parameter int READ_WIDTH_A = 0,
  parameter int READ_WIDTH_B = 0,
  parameter int WRITE_WIDTH_A = 0,
  parameter int WRITE_WIDTH_B = 0,
  parameter WRITE_MODE_A = "WRITE_FIRST",
  parameter WRITE_MODE_B = "WRITE_FIRST",
  parameter int DOA_REG = 0,
  parameter int DOB_REG = 0
) (
  input  wire        CLKARDCLK,
  input  wire        CLKBWRCLK,
  input  wire        ENARDEN,
  input  wire        ENBWREN,
  input  wire        REGCEAREGCE,
  input  wire        REGCEB,
  input  wire        RSTRAMARSTRAM,
  input  wire        RSTRAMB,
  input  wire        RSTREGARSTREG,
  input  wire        RSTREGB,
  input  wire        ADDRENA,
  input  wire        ADDRENB,
  input  wire        SLEEP,
  input  wire [13:0] ADDRARDADDR,
  input  wire [13:0] ADDRBWRADDR,
  input  wire [1:0]  WEA,
  input  wire [3:0]  WEBWE,
  input  wire [15:0] DINADIN,
  input  wire [15:0] DINBDIN,
  input  wire [1:0]  DINPADINP,
  input  wire [1:0]  DINPBDINP,
  output wire [15:0] DOUTADOUT,
  output wire [15:0] DOUTBDOUT,
  output wire [1:0]  DOUTPADOUTP,
  output wire [1:0]  DOUTPBDOUTP
);

  if (DOA_REG != 0 || DOB_REG != 0) begin : gen_check
    $error("%m: the output registers are not modelled");
  end
  wire unused = &{1'b0, REGCEAREGCE, REGCEB, RSTREGARSTREG, RSTREGB, ADDRENA, ADDRENB, SLEEP};

  // a word of 36 bits is read at port A and written at port B, over the data pins of both
  localparam bit WideRead = READ_WIDTH_A == 36;
  localparam bit WideWrite = WRITE_WIDTH_B == 36;
  wire [63:0] a_data, b_data;
  wire [7:0] a_parity, b_parity;
  assign DOUTADOUT = a_data[15:0];
  assign DOUTPADOUTP = a_parity[1:0];
  assign DOUTBDOUT = WideRead ? a_data[31:16] : b_data[15:0];
  assign DOUTPBDOUTP = WideRead ? a_parity[3:2] : b_parity[1:0];

  block_ram #(
    .Bytes(2048),
    .ReadWidthA(READ_WIDTH_A),
    .ReadWidthB(READ_WIDTH_B),
    .WriteWidthA(WRITE_WIDTH_A),
    .WriteWidthB(WRITE_WIDTH_B),
    .WriteModeA(WRITE_MODE_A),
    .WriteModeB(WRITE_MODE_B),
    .StartA(WideRead ? {INIT_B[17:16], INIT_A[17:16], INIT_B[15:0], INIT_A[15:0]} : INIT_A),
    .StartB(INIT_B),
    .ResetA(WideRead ? {SRVAL_B[17:16], SRVAL_A[17:16], SRVAL_B[15:0], SRVAL_A[15:0]} : SRVAL_A),
    .ResetB(SRVAL_B),
    .Init(INIT),
    .InitP(INITP)
  ) u_block_ram (
    .a_clk_i(CLKARDCLK),
    .a_en_i(ENARDEN),
    .a_rst_i(RSTRAMARSTRAM),
    .a_address_i({1'b0, ADDRARDADDR}),
    .a_write_i(8'(WEA)),
    .a_data_i(64'(DINADIN)),
    .a_parity_i(8'(DINPADINP)),
    .a_data_o(a_data),
    .a_parity_o(a_parity),
    .b_clk_i(CLKBWRCLK),
    .b_en_i(ENBWREN),
    .b_rst_i(RSTRAMB),
    .b_address_i({1'b0, ADDRBWRADDR}),
    .b_write_i(8'(WEBWE)),
    .b_data_i(WideWrite ? 64'({DINBDIN, DINADIN}) : 64'(DINBDIN)),
    .b_parity_i(WideWrite ? 8'({DINPBDINP, DINPADINP}) : 8'(DINPBDINP)),
    .b_data_o(b_data),
    .b_parity_o(b_parity)
  );

endmodule

`default_nettype wire
